"""The NPU generator: turns an NpuConfig into Verilog and describes the hardware to its users.

It knows nothing of networks; the compiler is in codesign/compiler. config holds NpuConfig,
parameters the ranges and their checks, sizes the quantities derived from them, packing the layout
of products that share a DSP slice, npu the top module, timing the exact cycle counts, emit the
Verilog back end, naming the names of its modules in a build folder. isa/ is the instruction set,
blocks/ the hardware in Amaranth, twin/ the behavioural model in numpy, package/ the files around
the Verilog, verilog/ the hand-written memories.
"""

__all__ = [
    "blocks",
    "config",
    "emit",
    "isa",
    "naming",
    "npu",
    "package",
    "packing",
    "parameters",
    "sizes",
    "timing",
    "twin",
]
