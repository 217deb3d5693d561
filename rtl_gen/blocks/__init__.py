"""Hardware blocks of the NPU in Amaranth; arithmetic ones have a specification with golden model.

hierarchy emits identical blocks as one Verilog module. Along the data path: transfer
(AXI4-Stream), memories and addressing (activations, weights), mac_array or packed_array with
dot_product and accumulators, post_process. sequencer runs the program, control holds the registers,
memory_port fetches weights and moves feature maps. The class docstring of a block is written into
its Verilog module.
"""
