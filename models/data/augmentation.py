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
    """Random shifts of up to ``rows`` and ``columns`` pixels each way, and mirroring if ``mirror``.

    Half of the images, at random, are mirrored left to right. Raises ModelError for negative
    numbers.

    >>> Augmentation.of("shift", (1, 28, 28))
    Augmentation(rows=2, columns=2, mirror=False)
    """

    rows: int = 0
    columns: int = 0
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.rows < 0 or self.columns < 0:
            raise ModelError(
                f"augmentation: shifts must be >= 0 pixels, not {self.rows} rows, "
                f"{self.columns} columns"
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
        """Raise ModelError for a shift, other than 0, that is not less than the images' side.

        shape: (channels, rows, columns) of the images.
        """
        for what, shift, side in (
            ("rows", self.rows, shape[1]),
            ("columns", self.columns, shape[2]),
        ):
            if shift and shift >= side:
                raise ModelError(f"augmentation: a shift by {shift} of {side} {what} is too far")

    def describe(self) -> str:
        """Return the changes in words for manifest and report, such as ``mirrored left to right``.

        Without any it is ``none``.
        """
        words = []
        if self.rows or self.columns:
            words.append(f"shifted by up to {self.rows} rows and {self.columns} columns")
        if self.mirror:
            words.append("mirrored left to right")
        return " and ".join(words) or "none"

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return ``images`` (n, channels, rows, columns), each changed at random; new pixels are 0.

        Each image has its own shift, uniform in -rows..rows and -columns..columns. The argument is
        not changed in place; without any change to make it is returned itself. Draws are from
        ``generator``.
        """
        count, _, height, width = images.shape
        if self.rows or self.columns:
            padded = F.pad(images, (self.columns, self.columns, self.rows, self.rows))
            down = torch.randint(0, 2 * self.rows + 1, (count,), generator=generator)
            right = torch.randint(0, 2 * self.columns + 1, (count,), generator=generator)
            windows = padded.unfold(2, height, 1).unfold(3, width, 1)
            images = windows[torch.arange(count), :, down, right]
        if self.mirror:
            mirrored = torch.rand(count, generator=generator) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        return images


def reach(side: int) -> int:
    """Return the usual largest shift, in pixels, along a side of so many pixels.

    It is 0 below 2, 1 below 16, else side // 12.
    """
    return 0 if side < 2 else 1 if side < _SMALL_SIDE else side // 12


NONE = Augmentation()
