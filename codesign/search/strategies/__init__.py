"""Search strategies with an ask / tell interface, all on integer vectors, one file each.

interface (what a strategy is), graphs (of candidates), loading (of strategies that are heavy or the
user's own), results (that a strategy was told), random_search and separate; evolving/ (that vary
good candidates), modelling/ (that ask for what a model of the results promises), learning/ (that
train a neural network as they search), differentiable/ (that move distributions by gradients).

``make`` returns one by its name in STRATEGIES, or a user's own by ``module:Class``. The default is
``guided``, which is ``evolution`` where candidates are cheap; ``separate`` and ``separate-back``
are the flow that joint search has to beat: network, then bits, then NPU. The conformance tests run
every entry.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from codesign.results import UserError
from codesign.search.strategies.differentiable.clamped import ClampedSearch
from codesign.search.strategies.differentiable.gumbel import GumbelSearch
from codesign.search.strategies.differentiable.robust import RobustSearch
from codesign.search.strategies.evolving.emonas import Emonas
from codesign.search.strategies.evolving.evolution import Evolution
from codesign.search.strategies.evolving.novelty import NoveltySearch
from codesign.search.strategies.evolving.nsga2 import Nsga2
from codesign.search.strategies.evolving.quantum import QuantumCrossover, QuantumInspired
from codesign.search.strategies.evolving.regularised import RegularisedEvolution
from codesign.search.strategies.graphs import Graphs
from codesign.search.strategies.interface import Genes, Repeated, Strategy
from codesign.search.strategies.loading import Checked, Late, imported
from codesign.search.strategies.modelling.guided import GuidedEvolution
from codesign.search.strategies.random_search import RandomSearch
from codesign.search.strategies.separate import Separate

__all__ = [
    "STRATEGIES",
    "Evolution",
    "Genes",
    "Graphs",
    "GuidedEvolution",
    "Nsga2",
    "RandomSearch",
    "RegularisedEvolution",
    "Repeated",
    "Separate",
    "Strategy",
    "factory",
    "make",
]

STRATEGIES: Mapping[str, Callable[[Genes, int], Strategy]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "guided": GuidedEvolution,
    "nsga2": Nsga2,
    "regularised-evolution": RegularisedEvolution,
    "emonas": Emonas,
    "quantum": QuantumInspired,
    "quantum-crossover": QuantumCrossover,
    "novelty": NoveltySearch,
    "separate": Separate,
    "separate-back": functools.partial(Separate, back=True),
    "tpe": Late(f"{__name__}.modelling.optuna_samplers", "ParzenEstimators"),
    "gp": Late(f"{__name__}.modelling.optuna_samplers", "GaussianProcesses"),
    "graph-kernel": Late(f"{__name__}.modelling.graph_kernels", "WeisfeilerLehman"),
    "untrained-network": Late(f"{__name__}.modelling.graph_kernels", "UntrainedNetwork"),
    "controller": Late(f"{__name__}.learning.controller", "Controller"),
    "progressive": Late(f"{__name__}.learning.progressive", "ProgressivePareto"),
    "latent": Late(f"{__name__}.learning.latent", "LatentSearch"),
    "latent-informed": Late(f"{__name__}.learning.latent", "InformedLatentSearch"),
    "differentiable": GumbelSearch,
    "differentiable-clamped": ClampedSearch,
    "differentiable-robust": RobustSearch,
}
"""Name -> factory(genes, seed). Those that need torch or Optuna import it when they are made."""


def factory(name: str) -> Callable[[Genes, int], Strategy]:
    """Return factory(genes, seed) of a strategy, by its name in STRATEGIES or as ``module:Class``.

    The latter imports the module, which runs the code in it; what it makes is Checked. Raises
    UserError for an unknown name, and for a module or class that is not to be had.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    if ":" not in name:
        raise UserError(
            f"strategy must be one of {', '.join(STRATEGIES)}, or module:Class for one of your "
            f"own, not {name!r}"
        )
    return functools.partial(Checked, name, imported(name))


def make(name: str, genes: Genes, seed: int) -> Strategy:
    """Return a new strategy by name. Raises UserError as ``factory`` and Checked do."""
    return factory(name)(genes, seed)
