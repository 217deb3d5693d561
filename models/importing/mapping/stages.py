"""Stages: what an imported network computes, layer by layer, before it becomes one of ours.

A stage sums products of its inputs, then scales and shifts each channel, clips, and rounds to a
grid of codes: ``round(clip(gain * sum + bias))``. While a stage is *open* (not yet rounded, read by
one node alone), what follows it in the file becomes part of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from models.graph.activations import FUNCTIONS
from models.graph.layers import Pair, Shape
from models.importing.readers.foreign import Grid, Ints, Reals

UNCLIPPED = (-math.inf, math.inf)


def unused(base: str, taken: Collection[str]) -> str:
    """Return ``base``, with a number behind it if that name is taken.

    >>> unused("sum", ["sum", "sum_2"])
    'sum_3'
    """
    name, count = base, 2
    while name in taken:
        name, count = f"{base}_{count}", count + 1
    return name


@dataclass(frozen=True, eq=False)
class Kernel:
    """Weights (out, in / groups, rows, cols) of one input: real values, and codes if it has them.

    ``values = codes * scale[:, None, None, None]``. Made by ``operators``.
    """

    values: Reals
    codes: Ints | None = None
    scale: Reals | None = None
    """Real value of one code, (out,)."""


@dataclass(frozen=True)
class Window:
    """Window of a max pooling: kernel and stride (rows, columns), padding on four sides.

    >>> Window((2, 2), (2, 2), (0, 0, 0, 0)).kernel
    (2, 2)
    """

    kernel: Pair
    stride: Pair
    pads: tuple[int, int, int, int]
    """(top, left, bottom, right)."""


@dataclass(frozen=True)
class Curve:
    """Activation function of a stage, by its name in ``activations.FUNCTIONS``.

    gate: grid that the file rounds the function's values to before it multiplies the input by them
    (SiLU as the product of x and sigmoid(x)); None: it does not. table: name of the table that it
    shares with others of a float network.

    >>> Curve("tanh").values(np.zeros(1)).tolist()
    [0.0]
    """

    function: str
    gate: Grid | None = None
    table: str = ""

    def values(self, x: Reals) -> Reals:
        """Return the function of real values."""
        found = FUNCTIONS[self.function](x)
        if self.gate is None:
            return found
        codes = np.rint(found / self.gate.scale) + self.gate.zero_point
        codes = np.clip(codes, self.gate.low, self.gate.high)
        rounded: Reals = x * self.gate.scale * (codes - self.gate.zero_point)
        return rounded


@dataclass(eq=False)
class Stage:
    """A layer in the making; see the module. Made by ``operators``."""

    name: str
    op: str
    """input, conv2d, linear, add, avg_pool, max_pool, scale (of channels), concat,
    activation."""
    inputs: tuple[str, ...]
    shape: Shape
    kernels: tuple[Kernel, ...] = ()
    """One per input; none for input, concat and max_pool."""
    groups: int = 1
    stride: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """(top, left, bottom, right)."""
    window: Window | None = None
    curve: Curve | None = None
    """Function of an activation."""
    gain: Reals = field(default_factory=lambda: np.ones(0))
    bias: Reals = field(default_factory=lambda: np.zeros(0))
    bias_codes: tuple[Ints, Reals] | None = None
    """Codes of the bias and their scale (out,), as long as the bias is the file's."""
    clip: tuple[float, float] = UNCLIPPED
    grid: Grid | None = None
    thresholds: Reals | None = None
    """Values that the codes 1 and up begin at, (out, 2**bits - 1), where the file says them instead
    of rounding to the grid."""
    even: bool = False
    """True where the thresholds lie at equal distances, so that rounding may do as well."""
    halves: bool = False
    """True where it sums the rectified halves of one map, which are rounded as its result is."""
    closed: bool = False
    """True once more than one node reads it, or another layer does."""

    def __post_init__(self) -> None:
        if not self.gain.size:
            self.gain, self.bias = np.ones(self.shape[0]), np.zeros(self.shape[0])

    @property
    def is_open(self) -> bool:
        return self.grid is None and not self.closed and self.op not in ("input", "concat")

    def takes_affine(self, gain: Reals, offset: Reals) -> bool:
        """Return True if ``scale_by`` can take these (out,) into the stage."""
        if not self.is_open or self.op in ("max_pool", "activation") or self.halves:
            return False
        keeps = self.clip in (UNCLIPPED, (0.0, math.inf)) and gain.min() > 0 and not offset.any()
        return self.clip == UNCLIPPED or keeps

    def scale_by(self, gain: Reals, offset: Reals) -> None:
        """Multiply the result by ``gain`` and add ``offset``, both (out,)."""
        if offset.any():
            self.bias_codes = None
        self.gain = self.gain * gain
        self.bias = self.bias * gain + offset

    def clip_to(self, low: float, high: float) -> None:
        """Clip the result further."""
        self.clip = (max(self.clip[0], low), min(self.clip[1], high))
