"""The hardware blocks in Amaranth, each a frozen parameter object with golden model and component.

hierarchy makes one Verilog module of identical blocks. The data's way: transfer (AXI4-Stream),
memories and addressing (activations), mac_array or packed_array with dot_product, accumulators,
post_process. sequencer runs the program, control holds the registers, memory_port fetches weights
and moves feature maps.
"""
