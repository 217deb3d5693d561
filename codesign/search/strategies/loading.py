"""Strategies that are imported when they are chosen: heavy ones of ours, the user's own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.results import UserError
from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.interface import Genes, Strategy


@dataclass(frozen=True)
class Late:
    """Factory of one of our strategies, whose module is imported when the first one is made.

    >>> nsga2 = Late("codesign.search.strategies.evolving.nsga2", "Nsga2")
    >>> nsga2(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    module: str
    name: str

    def __call__(self, genes: Genes, seed: int) -> Strategy:
        made: Strategy = self.found(genes, seed)
        return made

    @property
    def found(self) -> Callable[..., Any]:
        """The class."""
        found: Callable[..., Any] = getattr(importlib.import_module(self.module), self.name)
        return found


def imported(path: str) -> Callable[..., Any]:
    """Return the object named ``module:Class``; the module is run as any import runs it.

    The current folder is searched last, so that nothing in it takes the place of what is installed.
    Raises UserError, which says what failed, when there is no such module or name, or when running
    the module fails.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise UserError(f"a strategy of your own is named module:Class, not {path!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:
        raise UserError(
            f"strategy {path!r}: the module {module!r} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise UserError(f"strategy {path!r}: the module {module!r} has no class {name!r}")
    made: Callable[..., Any] = found
    return made


class Checked:
    """A strategy of the user's, made by ``found(genes, seed)``, whose candidates are checked.

    Raises UserError, which names it, when it cannot be made or lacks ask or tell.

    >>> from codesign.search.strategies.random_search import RandomSearch
    >>> genes = Genes(np.array([4, 2, 7]))
    >>> Checked("mine:RandomSearch", RandomSearch, genes, seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, name: str, found: Callable[..., Any], genes: Genes, seed: int) -> None:
        self._name, self._genes = name, genes
        try:
            self._strategy = found(genes, seed)
        except TypeError as error:
            raise UserError(f"strategy {name!r} is not made by (genes, seed): {error}") from error
        for method in ("ask", "tell"):
            if not callable(getattr(self._strategy, method, None)):
                raise UserError(f"strategy {name!r} has no method {method}")

    def ask(self, count: int) -> Ints:
        """Return its candidates. Raises UserError unless they are as Strategy.ask says."""
        found = self._strategy.ask(count)
        sizes = self._genes.sizes
        shape, kind = getattr(found, "shape", None), getattr(found, "dtype", type(found))
        if shape != (count, len(sizes)) or kind != np.int64:
            raise UserError(
                f"strategy {self._name!r} returned candidates of shape {shape} and type {kind}, "
                f"not {(count, len(sizes))} and int64"
            )
        wrong = np.flatnonzero(((found < 0) | (found >= sizes)).any(axis=0))
        if len(wrong):
            gene = int(wrong[0])
            raise UserError(
                f"strategy {self._name!r} returned values of gene {gene} that are not "
                f"0..{sizes[gene] - 1}"
            )
        return np.asarray(found)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Pass the results on."""
        self._strategy.tell(candidates, objectives, violation)
