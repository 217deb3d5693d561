"""The behavioural twin: the NPU at instruction level in numpy, which the RTL is compared with.

model runs a program; memories, transfers, layer, taps and reuse are its parts.
"""

__all__ = [
    "layer",
    "memories",
    "model",
    "reuse",
    "taps",
    "transfers",
]
