// Distributed RAM: one synchronous write port, one asynchronous read port.
// Latency: read_data follows read_address in the same cycle.
module npu_lutram #(
    parameter WIDTH = 8,
    parameter DEPTH = 32,
    parameter ADDRESS_BITS = 5
) (
    input  wire                    clk,
    input  wire                    write_enable,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WIDTH-1:0]        write_data,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output wire [WIDTH-1:0]        read_data
);
    (* ram_style = "distributed" *)
    reg [WIDTH-1:0] memory [0:DEPTH-1];
    always @(posedge clk)
        if (write_enable)
            memory[write_address] <= write_data;
    assign read_data = memory[read_address];
endmodule
