"""Parameter: one gene of a genome, when it has an effect, and rules for several of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.results import UserError
from models.files.nodes import nearest

Choice = int | bool | str
Combination = dict[str, Choice | tuple[Choice, ...]]
"""Parameters of a SearchSpace with the value, or the values, that they have."""
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


@dataclass(frozen=True)
class Requirement:
    """Combination that a feasible design has where it has another one.

    >>> Requirement(when={"head": "flatten"}, then={"hidden": (32, 64)}).then["hidden"]
    (32, 64)
    """

    when: Combination
    then: Combination


class Parameters(Protocol):
    """Part of a SearchSpace that rules read."""

    @property
    def choices(self) -> Mapping[str, Sequence[Choice]]:
        """Parameter name -> its choices, which genes are indices into."""

    @property
    def index(self) -> Mapping[str, int]:
        """Parameter name -> index of its gene."""

    def active(self, candidates: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return True where a gene is active, shape (n, genes)."""


def broken(
    space: Parameters,
    candidates: NDArray[np.int64],
    forbid: Sequence[Combination],
    require: Sequence[Requirement],
) -> NDArray[np.float64]:
    """Return how many rules each candidate breaks, shape (n,); candidates: shape (n, genes).

    Raises UserError for a parameter that the space does not have, or a value that is no choice of
    it.
    """
    active = space.active(candidates)
    count = np.zeros(len(candidates))
    for combination in forbid:
        count += _matches(space, candidates, active, combination)
    for rule in require:
        held = _matches(space, candidates, active, rule.then)
        count += _matches(space, candidates, active, rule.when) & ~held
    return count


def _matches(
    space: Parameters,
    candidates: NDArray[np.int64],
    active: NDArray[np.bool_],
    combination: Combination,
) -> NDArray[np.bool_]:
    """Return True for candidates whose parameters all are active with one of the given values."""
    found = np.ones(len(candidates), dtype=np.bool_)
    for name, value in combination.items():
        if name not in space.index:
            raise UserError(
                f"rules of the search space: no parameter {name!r}; {nearest(name, space.index)}"
            )
        gene, choices = space.index[name], list(space.choices[name])
        wanted = value if isinstance(value, tuple) else (value,)
        unknown = [one for one in wanted if one not in choices]
        if unknown:
            raise UserError(
                f"rules of the search space: {unknown[0]!r} is no choice of {name}, "
                f"which are {', '.join(map(str, choices))}"
            )
        rows = [choices.index(one) for one in wanted]
        found &= active[:, gene] & np.isin(candidates[:, gene], rows)
    return found
