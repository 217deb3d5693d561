"""Records of layers and NPUs that the compiled closed forms work on.

A chain is an array of LAYER records, one more than there are layers: record k also describes tensor
k, the image for k = 0, else the output of layer k - 1.
"""

from __future__ import annotations

from codesign.cost.cycles.compiled import int64_fields, part

COLUMNS = (
    "in_channels", "in_rows", "in_cols", "out_channels", "kernel_rows", "kernel_cols",
    "weight_bits", "kept", "group", "diagonal", "sources", "skip", "stacked", "other_stacked",
    "stride", "step", "conv_rows", "conv_cols", "pool_area", "out_rows", "out_cols", "raw",
    "reuse_cols", "reuse_fills", "in_bits",
)  # fmt: skip
"""Columns of LayerTable, which are the first fields of LAYER."""
TILING = (
    "tiles",
    "chunks",  # cycles to drain one pixel lane of a tile
    "digits",  # digits of the activations, each of which takes all weight words
    "taps",  # cycles of a tile per convolution output
    "fills",  # extra cycles of a tile at the start of a row, which fill the history
    "alone_cycles",  # cycles of this layer and all later ones on one pixel lane
)
TENSOR = (
    "pixel_words",
    "cols",
    "height",  # rows
    "words",  # words in one bank
    "root",  # first of the tensors in the same storage, side by side
    "last_use",  # last layer that reads what this tensor is the root of
    "strip_rows",  # rows in one bank
    "ratio",  # image rows per row
    "least_rows",  # image rows per bank that this tensor and those before need
)
LAYER = int64_fields(*COLUMNS, *TILING, *TENSOR)
PARAMETERS = (
    "pixels", "lanes", "columns", "weight_digit_bits", "activation_bits", "post_units",
    "depthwise_taps", "kept", "group", "binary_weights", "wide_input_passes", "memory_port_bits",
    "weight_depth",
)  # fmt: skip
"""Columns of ConfigTable that the schedule depends on."""
NPU = int64_fields(
    *PARAMETERS,
    "layer_cycles",  # of pipeline flush and instruction overhead, per LAYER
    "word_beats",  # beats of the memory port per weight word; 0 without a port
)


@part
def ceil(a: int, b: int) -> int:
    """Return a / b, rounded up; a >= 0, b > 0."""
    return (a + b - 1) // b
