"""Parameter: one gene of a genome, and the conditions under which it has an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.search.space.rules import Choice

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Parameter:
    """Parameter of a search space, encoded as one gene.

    >>> Parameter("kernel2", choices=(3, 5), requires=(("stages", 2),)).choices[1]
    5
    """

    name: str
    choices: tuple[Choice, ...]
    requires: tuple[tuple[str, int], ...] = ()
    """Pairs (parameter, least value) that must all hold for the gene to be active; of a parameter
    of words the number of the choice counts."""
    unless: tuple[tuple[str, Choice], ...] = ()
    """Pairs (parameter, value) of which none may hold for the gene to be active."""


def conditions(
    parameters: Sequence[Parameter], index: Mapping[str, int], arrays: Mapping[str, NDArray[Any]]
) -> tuple[Ints, Floats32, Floats32]:
    """Return the conditions of all parameters, each once: (deciding, unmet, needs).

    deciding: gene that decides each, shape (conditions,); unmet: 1 where its value does not
    meet the condition, shape (conditions, most choices); needs: 1 where the condition is one of
    a gene's, shape (conditions, genes). In float32 the conditions that a gene misses are
    counted by one matrix product. index: gene of each parameter; arrays: its choices.
    """
    most = max(len(one.choices) for one in parameters)
    of = [
        {
            *((name, least, "least") for name, least in parameter.requires),
            *((name, value, "unless") for name, value in parameter.unless),
        }
        for parameter in parameters
    ]
    every = sorted({one for conditions in of for one in conditions}, key=str)
    deciding = np.array([index[name] for name, *_ in every], dtype=np.int64)
    unmet = np.zeros((len(every), most), np.float32)
    for row, (name, value, kind) in enumerate(every):
        choices = arrays[name]
        if kind == "unless":
            unmet[row, : len(choices)] = choices == value
            continue
        words = choices.dtype.kind == "U"
        levels = np.arange(len(choices)) if words else choices.astype(np.int64)
        unmet[row, : len(choices)] = levels < int(value)
    needs = [[one in conditions for conditions in of] for one in every]
    return deciding, unmet, np.array(needs, np.float32).reshape(len(every), len(parameters))
