// Simple dual-port RAM: one synchronous write port, one synchronous read port.
// Latency: read_data follows read_address by one cycle. Reading the word that is being written
// gives an undefined value; the NPU never does (no_rw_check: Yosys need not emulate the old one).
module npu_ram #(
    parameter WIDTH = 32,
    parameter DEPTH = 512,
    parameter ADDRESS_BITS = 9
) (
    input  wire                    clk,
    input  wire                    write_enable,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WIDTH-1:0]        write_data,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output reg  [WIDTH-1:0]        read_data
);
    (* no_rw_check *)
    reg [WIDTH-1:0] memory [0:DEPTH-1];
    always @(posedge clk) begin
        if (write_enable)
            memory[write_address] <= write_data;
        read_data <= memory[read_address];
    end
endmodule
