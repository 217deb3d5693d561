// True dual-port RAM: a read port, and one that writes or else reads, at its one address.
// Latency: read_data and other_data follow their address by one cycle; other_data stays when that
// port writes. Reading the word that is being written gives an undefined value; the NPU never does.
module npu_ram_shared #(
    parameter WIDTH = 32,
    parameter DEPTH = 512,
    parameter ADDRESS_BITS = 9
) (
    input  wire                    clk,
    input  wire                    write_enable,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WIDTH-1:0]        write_data,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output reg  [WIDTH-1:0]        read_data,
    output reg  [WIDTH-1:0]        other_data
);
    (* no_rw_check *)
    reg [WIDTH-1:0] memory [0:DEPTH-1];
    always @(posedge clk) begin
        if (write_enable)
            memory[write_address] <= write_data;
        read_data <= memory[read_address];
    end
    always @(posedge clk)
        if (!write_enable)
            other_data <= memory[write_address];
endmodule
