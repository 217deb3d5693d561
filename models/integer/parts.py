"""Outputs of a network that has several: their names and shapes, and their values apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class OutputPart:
    """One of several outputs of an imported network: its name and shape in the file.

    >>> OutputPart("boxes", (1, 4)).size
    4
    """

    name: str
    shape: tuple[int, ...]
    """That of one image, its leading 1 included if the file has it."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def split(parts: Sequence[OutputPart], values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the values of each part by its name, of those of all, (n, values) in turn.

    Each is (n, ...) with the part's shape, whose leading 1 stands for the image.

    >>> import numpy as np
    >>> split([OutputPart("a", (1, 2)), OutputPart("b", (1, 1))], np.array([[5, 6, 7]]))["b"]
    array([[7]])
    """
    found, start = {}, 0
    for part in parts:
        shape = part.shape[1:] if part.shape[:1] == (1,) else part.shape
        found[part.name] = values[:, start : start + part.size].reshape(len(values), *shape)
        start += part.size
    return found
