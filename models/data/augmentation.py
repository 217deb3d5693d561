"""Random augmentation of training images: shifts and horizontal flips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.datasets import Dataset
from models.errors import ModelError

AUGMENTATIONS = ("auto", "none", "shift", "flip", "shift_flip")
"""Allowed values of the training setting ``augment``."""
_SMALL_SIDE = 16
"""Images with fewer rows shift by one pixel, others by up to a twelfth of their rows."""


def resolve(kind: str, dataset: Dataset) -> str:
    """Return the augmentation to use: ``auto`` shifts grey images, shifts and flips colour images.

    Raises ModelError for an unknown kind.
    """
    if kind not in AUGMENTATIONS:
        raise ModelError(f"augment must be one of {', '.join(AUGMENTATIONS)}, not {kind!r}")
    if kind != "auto":
        return kind
    return "shift" if dataset.shape[0] == 1 else "shift_flip"


def reach(rows: int) -> int:
    """Return the largest shift in pixels of images with that many rows."""
    return 1 if rows < _SMALL_SIDE else rows // 12


def augment(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Return ``images`` (n, C, H, W), each changed at random; pixels moved in are 0.

    ``kind``: any of AUGMENTATIONS except ``auto``.
    """
    count, _, rows, cols = images.shape
    if kind in ("shift", "shift_flip"):
        pad = reach(rows)
        padded = F.pad(images, (pad, pad, pad, pad))
        down, right = torch.randint(0, 2 * pad + 1, (2, count), generator=generator)
        windows = padded.unfold(2, rows, 1).unfold(3, cols, 1)
        images = windows[torch.arange(count), :, down, right]
    if kind in ("flip", "shift_flip"):
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images
