"""Rules of a search space: combinations of parameters that it forbids or requires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.results import UserError
from models.files.nodes import nearest

Choice = int | bool | str
Combination = dict[str, Choice | tuple[Choice, ...]]
"""Parameters of a SearchSpace with the value, or the values, that they have."""


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
