"""Learning curve of a training: what each epoch reached. Needs no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """Result of one epoch. Made by ``train`` (models.training.loop).

    >>> Epoch(0.31, 0.95, quantised=True).training_accuracy is None
    True
    """

    loss: float
    """Mean loss of the training batches, with the penalty on one-bits."""
    accuracy: float
    """Accuracy on the validation split after the epoch, 0..1."""
    quantised: bool
    """True if weights and activations were fake-quantised, False in the floating-point phase."""
    training_accuracy: float | None = None
    """Accuracy on the training batches, 0..1, each before its own step and as augmented; None in
    files of release 0.2 and older."""


def kept_epoch(history: Sequence[Epoch]) -> int | None:
    """Return the number, from 1, of the epoch whose weights are kept; None without one.

    It is the quantised epoch of the highest validation accuracy, the last one of equals: small
    validation splits saturate while training still gains.
    """
    numbered = [(one.accuracy, at) for at, one in enumerate(history, 1) if one.quantised]
    return max(numbered)[1] if numbered else None


def to_list(history: Iterable[Epoch]) -> list[dict[str, Any]]:
    """Return the JSON form of a learning curve, an object for each epoch."""
    return [dataclasses.asdict(one) for one in history]


def from_list(epochs: Iterable[Mapping[str, Any]]) -> tuple[Epoch, ...]:
    """Return the learning curve of its JSON form; keys that an Epoch does not have are left out.

    Raises TypeError for a missing key other than training_accuracy.
    """
    names = [field.name for field in dataclasses.fields(Epoch)]
    return tuple(Epoch(**{name: one[name] for name in names if name in one}) for one in epochs)
