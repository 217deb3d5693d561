"""Search strategies with an ask / tell interface, all on integer vectors, one file each.

``make`` returns one by its name in STRATEGIES: evolution (archive and hypervolume contributions,
the default), nsga2, regularised-evolution and random. The conformance tests run every entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codesign.results import UserError
from codesign.search.strategies.evolution import Evolution
from codesign.search.strategies.interface import Genes, Strategy
from codesign.search.strategies.nsga2 import Nsga2
from codesign.search.strategies.random_search import RandomSearch
from codesign.search.strategies.regularised import RegularisedEvolution

__all__ = [
    "STRATEGIES",
    "Evolution",
    "Genes",
    "Nsga2",
    "RandomSearch",
    "RegularisedEvolution",
    "Strategy",
    "make",
]

STRATEGIES: Mapping[str, Callable[[Genes, int], Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "nsga2": Nsga2,
    "regularised-evolution": RegularisedEvolution,
}
"""Name -> factory(genes, seed)."""


def make(name: str, genes: Genes, seed: int) -> Strategy:
    """Return a new strategy by name. Raises UserError for an unknown name."""
    if name not in STRATEGIES:
        raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}, not {name!r}")
    return STRATEGIES[name](genes, seed)
