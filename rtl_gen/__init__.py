"""The NPU generator: from an NpuConfig to Verilog, with everything that describes the hardware.

Knows nothing of networks. config (NpuConfig), parameters (ranges and checks), sizes (what follows
from them), packing (products that share DSP slices), npu (the top module), timing (exact cycle
counts), emit (Verilog); isa/, blocks/, twin/ and package/ are rooms of their own, verilog/ holds
the few modules that are written by hand.
"""

__all__ = [
    "blocks",
    "config",
    "emit",
    "isa",
    "npu",
    "package",
    "packing",
    "parameters",
    "sizes",
    "timing",
    "twin",
]
