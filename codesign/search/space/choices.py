"""Words and ranges that a search space may list for each parameter."""

from __future__ import annotations

from collections.abc import Mapping

from codesign.search.space.parameters import Choice
from models.quantisation.plan import MAX_BITS
from rtl_gen.parameters import CHOICES, DEPTH_RANGES, RANGES, SPARSITIES

PLAIN = "plain"
GHOST = "ghost"
STACK = "dense"
EXPANSIONS = {"separable": 1, **{f"inverted{factor}": factor for factor in (2, 3, 4, 6)}}
"""Block with a depthwise convolution -> the channels of that, as a multiple of its input's."""
BLOCKS = (PLAIN, *EXPANSIONS, GHOST, STACK)
"""What a convolution of a stage is made of. ``plain``: one convolution. ``separable``: a depthwise
one and a pointwise one (Howard et al., MobileNets, arXiv 1704.04861). ``inverted2`` and so on: a
pointwise one to 2 (3, 4, 6) times the channels, a depthwise one and a pointwise one without ReLU
(Sandler et al., MobileNetV2, arXiv 1801.04381). ``ghost``: half of the channels by a convolution,
the others by a depthwise one of these, side by side (Han et al., GhostNet, arXiv 1911.11907).
``dense``: each convolution of the stage reads the outputs of all before it in the stage, side by
side, and all together are the stage's channels (Huang et al., DenseNet, arXiv 1608.06993); there is
no residual. The network's first convolution, of the image, is plain in blocks but ``dense``."""
CHEAP_KERNEL = 3
"""Size of the depthwise convolution of a ghost block."""
PROJECTION = "projection"
RESIDUALS = (False, True, PROJECTION)
"""What is added to the last output of a stage of two or more convolutions: nothing; the output of
its first convolution; its input by way of a pointwise convolution (He et al., arXiv 1512.03385)."""

STRIDE, STEM = "stride", "stem"
POOLINGS = ("max", STRIDE, STEM)
"""Down-sampling of a stage, by 2 along sides of several pixels: max pooling at its end, or stride
in its first convolution. ``stem``: stride in the first stage, which reads the image, max pooling in
the others; few products have the image's resolution then."""
DENSE = next(iter(SPARSITIES))
"""Pattern of weights without N:M sparsity."""
OF_WEIGHTS = "weights"
"""Choice of the array's pattern that leaves it to the weights."""
ACCUMULATOR = "accumulator_bits"  # of NpuChoices, which trainings depend on
PORT, WEIGHT_DEPTH = "memory_port_bits", "weight_depth"  # of NpuChoices; the latter needs the first
LATER = (ACCUMULATOR, PORT, WEIGHT_DEPTH)
"""Fields of NpuChoices that spaces of earlier releases lack."""
HEADS = ("average", "flatten")
"""Input of the fully connected layers: global average of each channel, or all positions."""


def _limits() -> Mapping[str, tuple[int, int]]:
    """Return (lowest, highest) of each parameter whose choices are a range of integers."""
    bits = (1, MAX_BITS)
    return {
        **RANGES,
        "stages": (0, 6), "convs": (1, 4), "channels": (1, 1024), "kernels": (1, 11),
        "hidden": (0, 4096), "input": bits, "weights": bits, "activations": bits,
        "column_words": (1, RANGES["columns"][1] // RANGES["lanes"][0]),
    }  # fmt: skip


def _words() -> Mapping[str, tuple[Choice, ...]]:
    """Return the allowed choices of each parameter that has a fixed set of them."""
    return {
        **CHOICES, "pooling": POOLINGS, "head": HEADS, "residual": RESIDUALS,
        "blocks": BLOCKS, "halve": (False, True), "wide_inputs": (False, True),
        "array_sparsity": (OF_WEIGHTS, *SPARSITIES),
        WEIGHT_DEPTH: _powers_of_two(*DEPTH_RANGES[WEIGHT_DEPTH]),
        ACCUMULATOR: (0, *range(RANGES[ACCUMULATOR][0], RANGES[ACCUMULATOR][1] + 1)),
    }  # fmt: skip


def _powers_of_two(low: int, high: int) -> tuple[int, ...]:
    return tuple(1 << bit for bit in range(high.bit_length()) if low <= 1 << bit <= high)


def check(name: str, value: object) -> None:
    """Raise ValueError unless ``value`` is an allowed choice of the parameter ``name``."""
    words = _words()
    if name in words:
        if value not in words[name]:
            allowed = ", ".join(str(word) for word in words[name])
            raise ValueError(f"{name} must be of {allowed}, not {value!r}")
        return
    low, high = _limits()[name]
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be {low}..{high}, not {value}")
    if name == "kernels" and value % 2 == 0:
        raise ValueError(f"kernels must be odd, not {value}")
