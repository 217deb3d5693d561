"""N:M sparsity: at most N of every M consecutive input channels have a non-zero weight.

A pattern is counted per output channel and kernel position, along axis 1 of weights (out_channels,
in_channels, kernel_rows, kernel_cols), in groups of M from input channel 0 on; channels missing in
the last group count as zeros. A linear layer is a kernel as large as its input
(models.integer.network), so its channels are those of the feature map that it flattens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

PATTERNS = ((1, 4), (2, 4), (4, 8))
"""Allowed patterns as (kept, group)."""


@dataclass(frozen=True)
class Sparsity:
    """N:M pattern: at most ``kept`` non-zero weights in each ``group`` of input channels.

    Raises ModelError if it is not one of PATTERNS.

    >>> Sparsity.parse("2:4").kept_of(channels=7)
    4
    """

    kept: int
    group: int

    def __post_init__(self) -> None:
        if (self.kept, self.group) not in PATTERNS:
            raise _refused(f"{self.kept}:{self.group}")

    def __str__(self) -> str:
        return f"{self.kept}:{self.group}"

    def kept_of(self, channels: int) -> int:
        """Return the most non-zero weights of an output channel at one kernel position.

        channels: number of input channels.
        """
        groups, rest = divmod(channels, self.group)
        return groups * self.kept + min(rest, self.kept)

    @staticmethod
    def parse(value: object) -> Sparsity:
        """Parse text such as ``"2:4"``. Raises ModelError; YAML reads 2:4 without quotes as 124."""
        for kept, group in PATTERNS:
            if value == f"{kept}:{group}":
                return Sparsity(kept, group)
        raise _refused(value)


def _refused(value: object) -> ModelError:
    allowed = ", ".join(f'"{kept}:{group}"' for kept, group in PATTERNS)
    return ModelError(f"sparsity must be one of {allowed} (in quotes), not {value!r}")


class Violation(NamedTuple):
    """Position of a group of input channels with more weights than the pattern keeps.

    All count from 0; group g begins at input channel g * M. Made by ``violation``.
    """

    out_channel: int
    kernel_row: int
    kernel_col: int
    group: int


def violation(weights: NDArray[np.int64], sparsity: Sparsity) -> Violation | None:
    """Return the first group that breaks the pattern, by Violation's fields in order, or None.

    weights: (out_channels, in_channels, kernel_rows, kernel_cols).
    """
    out, channels, rows, cols = weights.shape
    groups = -(-channels // sparsity.group)
    used = np.zeros((out, groups * sparsity.group, rows, cols), np.bool_)
    used[:, :channels] = weights != 0
    counts = used.reshape(out, groups, sparsity.group, rows, cols).sum(axis=2)
    places = np.argwhere(counts.transpose(0, 2, 3, 1) > sparsity.kept)
    return Violation(*map(int, places[0])) if len(places) else None


def check(name: str, weights: NDArray[np.int64], sparsity: Sparsity) -> None:
    """Check the weights of layer ``name``: (out_channels, in_channels, kernel_rows, kernel_cols).

    Raises ModelError with the first group of input channels that breaks the pattern.
    """
    found = violation(weights, sparsity)
    if found:
        first = found.group * sparsity.group
        raise ModelError(
            f"layer {name}: weights are not {sparsity} sparse: output channel {found.out_channel}, "
            f"kernel position ({found.kernel_row}, {found.kernel_col}) has more than "
            f"{sparsity.kept} of input channels {first}..{first + sparsity.group - 1}"
        )
