"""Augmentation moves whole images, by no more than asked for, and is off unless asked for."""

from __future__ import annotations

import pytest
import torch

from models.data.augmentation import NONE, Augmentation
from models.data.datasets import AUGMENTATIONS
from models.errors import ModelError


def _images() -> torch.Tensor:
    images = torch.zeros(256, 1, 9, 12, dtype=torch.uint8)
    images[:, :, 4, 6] = 200
    return images


def _places(changes: Augmentation) -> set[tuple[int, int]]:
    moved, _ = changes.apply(_images(), torch.Generator().manual_seed(0))
    assert (moved.sum(dim=(1, 2, 3)) == 200).all()
    return {(int(row), int(column)) for _, _, row, column in moved.nonzero()}


def test_none_is_the_default_and_changes_nothing():
    assert Augmentation() == NONE
    images, mirrored = NONE.apply(_images(), torch.Generator())
    assert torch.equal(images, _images())
    assert not mirrored.any()


@pytest.mark.parametrize("rows, columns", [(0, 2), (2, 0), (1, 3)])
def test_shifts_reach_rows_and_columns_apart(rows, columns):
    wanted = {
        (4 + down, 6 + right)
        for down in range(-rows, rows + 1)
        for right in range(-columns, columns + 1)
    }
    assert _places(Augmentation(rows, columns)) == wanted


def test_mirroring_turns_left_and_right():
    assert _places(Augmentation(mirror=True)) == {(4, 6), (4, 5)}


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_the_usual_reach_follows_each_side(kind):
    found = Augmentation.of(kind, (3, 49, 10))
    shifted = "shift" in kind
    assert (found.rows, found.columns) == ((4, 1) if shifted else (0, 0))
    assert found.mirror == ("mirror" in kind)
    assert Augmentation.of(kind, (30, 1, 1)).rows == 0


def test_senseless_augmentation_is_refused():
    with pytest.raises(ModelError, match="augment must be one of none, shift, mirror"):
        Augmentation.of("mixup", (1, 8, 8))
    with pytest.raises(ModelError, match="shifts and cutout must be >= 0"):
        Augmentation(-1, 0)
    with pytest.raises(ModelError, match="a shift by 8 of 8 columns is too far"):
        Augmentation(0, 8).check((1, 9, 8))


def test_cutout_takes_a_square_that_ends_at_the_border():
    images = torch.full((512, 2, 9, 12), 7, dtype=torch.uint8)
    found, _ = Augmentation(cutout=4).apply(images, torch.Generator().manual_seed(0))
    assert (images == 7).all()
    lost = found == 0
    assert (lost[:, 0] == lost[:, 1]).all()
    rows, columns = lost[:, 0].any(2).sum(1), lost[:, 0].any(1).sum(1)
    assert (lost[:, 0].sum((1, 2)) == rows * columns).all()
    assert set(rows.tolist()) == {2, 3, 4}
    assert set(columns.tolist()) == {2, 3, 4}
    assert lost.any(0).all()


def test_a_cutout_as_large_as_the_image_is_refused():
    with pytest.raises(ModelError, match="a cutout of 9 of 9 rows"):
        Augmentation(cutout=9).check((1, 9, 12))
