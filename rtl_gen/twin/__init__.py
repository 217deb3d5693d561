"""Behavioural model (twin) of the NPU in numpy, at instruction level; the RTL is compared with it.

model runs programs; memories holds their state, transfers the instructions that move data, layer
the LAYER instruction, taps its input addresses, reuse its depthwise column reuse.
"""

__all__ = [
    "layer",
    "memories",
    "model",
    "reuse",
    "taps",
    "transfers",
]
