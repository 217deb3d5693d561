"""Search strategies with an ask / tell interface, all on integer vectors, one file each.

``make`` returns one by its name in STRATEGIES: evolution (archive and hypervolume contributions,
the default), nsga2, regularised-evolution, random, and the separate flow that joint search has to
beat (network, then bits, then NPU), strict and going back. The conformance tests run every entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from codesign.results import UserError
from codesign.search.strategies.evolution import Evolution
from codesign.search.strategies.interface import Genes, Strategy
from codesign.search.strategies.nsga2 import Nsga2
from codesign.search.strategies.random_search import RandomSearch
from codesign.search.strategies.regularised import RegularisedEvolution
from codesign.search.strategies.separate import Separate

__all__ = [
    "STRATEGIES",
    "Evolution",
    "Genes",
    "Nsga2",
    "RandomSearch",
    "RegularisedEvolution",
    "Separate",
    "Strategy",
    "make",
]

STRATEGIES: Mapping[str, Callable[[Genes, int], Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "nsga2": Nsga2,
    "regularised-evolution": RegularisedEvolution,
    "separate": Separate,
    "separate-back": partial(Separate, back=True),
}
"""Name -> factory(genes, seed)."""


def make(name: str, genes: Genes, seed: int) -> Strategy:
    """Return a new strategy by name. Raises UserError for an unknown name."""
    if name not in STRATEGIES:
        raise UserError(f"strategy must be one of {', '.join(STRATEGIES)}, not {name!r}")
    return STRATEGIES[name](genes, seed)
