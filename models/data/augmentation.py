"""Random changes to training images that leave their label alone: a choice, and off by default."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.datasets import AUGMENTATIONS
from models.errors import ModelError

_SMALL_SIDE = 16
"""Images with fewer pixels than this along a side are shifted by one pixel along it, others by a
twelfth of the side (``reach``)."""


@dataclass(frozen=True)
class Augmentation:
    """Random shifts of up to ``rows`` and ``columns`` pixels each way, mirroring if ``mirror``.

    Half of the images, at random, are mirrored left to right. Each loses a square of ``cutout``
    pixels a side around a random pixel (DeVries and Taylor, arXiv 1708.04552), cut where it
    reaches beyond the image. Raises ModelError for negative numbers.

    >>> Augmentation.of("shift", (1, 28, 28))
    Augmentation(rows=2, columns=2, mirror=False, cutout=0)
    """

    rows: int = 0
    columns: int = 0
    mirror: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.cutout) < 0:
            raise ModelError(
                f"augmentation: shifts and cutout must be >= 0 pixels, not {self.rows} rows, "
                f"{self.columns} columns and {self.cutout}"
            )

    @classmethod
    def of(cls, kind: str, shape: tuple[int, int, int]) -> Augmentation:
        """Return the usual changes of a ``kind`` (AUGMENTATIONS) to images of a ``shape``.

        shape: (channels, rows, columns). Shifts are those of ``reach``. Raises ModelError for an
        unknown kind.
        """
        if kind not in AUGMENTATIONS:
            raise ModelError(f"augment must be one of {', '.join(AUGMENTATIONS)}, not {kind!r}")
        rows, columns = (reach(side) if "shift" in kind else 0 for side in shape[1:])
        return cls(rows, columns, "mirror" in kind)

    def check(self, shape: tuple[int, int, int]) -> None:
        """Raise ModelError for a shift or cutout, other than 0, not less than the images' side.

        shape: (channels, rows, columns) of the images.
        """
        for what, shift, side in (
            ("rows", self.rows, shape[1]),
            ("columns", self.columns, shape[2]),
        ):
            if shift and shift >= side:
                raise ModelError(f"augmentation: a shift by {shift} of {side} {what} is too far")
            if self.cutout and self.cutout >= side:
                raise ModelError(f"augmentation: a cutout of {self.cutout} of {side} {what}")

    def describe(self) -> str:
        """Return the changes in words for manifest and report, such as ``mirrored left to right``.

        Without any it is ``none``.
        """
        words = []
        if self.rows or self.columns:
            words.append(f"shifted by up to {self.rows} rows and {self.columns} columns")
        if self.mirror:
            words.append("mirrored left to right")
        if self.cutout:
            words.append(f"cut out by a square of {self.cutout} x {self.cutout} pixels")
        return " and ".join(words) or "none"

    def apply(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``images`` (n, channels, rows, columns), each changed at random; new pixels are 0.

        With them come booleans (n,), True for a mirrored image. Each image has its own shift,
        uniform in -rows..rows and -columns..columns. The argument is not changed in place; without
        any change to make it is returned itself. Draws are from ``generator``.
        """
        count, _, height, width = images.shape
        mirrored = torch.zeros(count, dtype=torch.bool)
        if self.rows or self.columns:
            padded = F.pad(images, (self.columns, self.columns, self.rows, self.rows))
            down = torch.randint(0, 2 * self.rows + 1, (count,), generator=generator)
            right = torch.randint(0, 2 * self.columns + 1, (count,), generator=generator)
            windows = padded.unfold(2, height, 1).unfold(3, width, 1)
            images = windows[torch.arange(count), :, down, right]
        if self.mirror:
            mirrored = torch.rand(count, generator=generator) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if self.cutout:
            sides = [self._cut(count, side, generator) for side in (height, width)]
            images = images * ~(sides[0][:, None, :, None] & sides[1][:, None, None, :])
        return images, mirrored

    def _cut(self, count: int, side: int, generator: torch.Generator) -> Tensor:
        """Return booleans (count, side), True for the rows or columns that each square covers."""
        first = torch.randint(0, side, (count, 1), generator=generator) - self.cutout // 2
        places = torch.arange(side)
        return (places >= first) & (places < first + self.cutout)


def reach(side: int) -> int:
    """Return the usual largest shift, in pixels, along a side of so many pixels.

    It is 0 below 2, 1 below 16, else side // 12.
    """
    return 0 if side < 2 else 1 if side < _SMALL_SIDE else side // 12


NONE = Augmentation()
