"""The separate flow, which joint search has to beat: network first, then its bits, then the NPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.evolving.evolution import Evolution
from codesign.search.strategies.interface import Genes

PARTS = ("network", "bits", "npu")
"""Steps of the flow, in the order of ``Genes.parts``."""


@dataclass
class _Step:
    """One decision of the flow: which genes it is about, and the best candidate for it until now.

    Candidates of the step equal ``base`` in all genes but ``free``. They count by ``cost`` (see
    ``Separate._aim``), rows of (violation, objective) that are compared in this order.
    """

    name: str
    free: Ints
    base: Ints
    strategy: Evolution
    best: Ints
    cost: tuple[float, float] = (np.inf, np.inf)
    violation: float = np.inf
    """The violation of ``best``, as it was told."""
    idle: int = 0
    """Candidates asked for since ``best`` was found."""


class Separate:
    """Decides one part of a design after another, each by an Evolution of that part's genes alone.

    The steps: the network, for accuracy alone, with the widest bits and the first NPU; the least
    bits (sum of their levels) that lose at most ``slack`` of the spread of accuracies seen in the
    first step; the NPU, for all objectives within the limits. A step ends when ``patience``
    candidates brought nothing better. So far goes the strict flow, whose last step does not end.

    With ``back``, an NPU step that found nothing within the limits is followed by a smaller
    network: one with less violation on the first NPU than the one that failed had, less by what the
    best NPU lacked, at most SMALLER and at least LESS at a time. The first network that fits stays.

    Without ``Genes.parts`` all genes are decided together, in one step.

    >>> parts = (np.array([0]), np.array([1]), np.array([2]))
    >>> strategy = Separate(Genes(np.array([10, 4, 6]), parts=parts), seed=0)
    >>> np.unique(strategy.ask(50)[:, 1:], axis=0).tolist()  # widest bits, first NPU
    [[3, 0]]
    """

    SMALLER, LESS = 0.4, 0.9
    """Least and largest factor from the violation of a network that failed to that of the next."""

    def __init__(
        self, genes: Genes, seed: int, *, back: bool = False, patience: int = 400,
        slack: float = 0.01,
    ) -> None:  # fmt: skip
        self._genes, self._back = genes, back
        self._patience, self._slack = patience, slack
        self._seeds = np.random.default_rng(seed)
        self._most = np.inf
        self._spread = (np.inf, -np.inf)
        base = np.zeros(len(genes.sizes), dtype=np.int64)
        if genes.parts:
            base[genes.parts[1]] = genes.sizes[genes.parts[1]] - 1
        self._first = base
        self._network: _Step | None = None
        self._step = self._begin("network" if genes.parts else "npu", base)

    def ask(self, count: int) -> Ints:
        step = self._step
        stays = step.name == "npu" and (not self._back or step.violation <= 0)
        if step.idle >= self._patience and not stays:
            step = self._step = self._next(step)
        step.idle += count
        found = np.tile(step.base, (count, 1))
        found[:, step.free] = step.strategy.ask(count)
        return found

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        step = self._step
        fixed = np.setdiff1d(np.arange(len(step.base)), step.free)
        rows = np.flatnonzero((candidates[:, fixed] == step.base[fixed]).all(axis=1))
        if not len(rows):
            return
        if step.name == "network":
            low, high = self._spread
            values = objectives[rows, 0]
            self._spread = min(low, values.min()), max(high, values.max())
        aims, broken = self._aim(step, candidates[rows], objectives[rows], violation[rows])
        step.strategy.tell(candidates[rows][:, step.free], aims, broken)
        best = int(np.lexsort((aims[:, 0], broken))[0])
        cost = (float(broken[best]), float(aims[best, 0]))
        if cost < step.cost:
            step.cost, step.best, step.idle = cost, candidates[rows[best]], 0
            step.violation = float(violation[rows[best]])

    def _aim(
        self, step: _Step, candidates: Ints, objectives: Floats, violation: Floats
    ) -> tuple[Floats, Floats]:
        """Return objectives and violation as they count for a step, shapes (n, m) and (n,)."""
        accuracy = objectives[:, :1]
        if step.name == "network":
            return accuracy, np.maximum(violation - self._most, 0.0)
        if step.name == "bits":
            low, high = self._spread
            assert self._network is not None
            most = self._network.cost[1] + self._slack * (high - low)
            levels = candidates[:, step.free].sum(axis=1, keepdims=True).astype(np.float64)
            return levels, np.maximum(accuracy[:, 0] - most, 0.0)
        return objectives, violation

    def _next(self, step: _Step) -> _Step:
        """Return the step that follows a finished one."""
        if step.name == "network":
            self._network = step
            return self._begin("bits", step.best)
        if step.name == "bits":
            return self._begin("npu", step.best)
        assert self._network is not None
        factor = np.clip(1 / (1 + step.violation), self.SMALLER, self.LESS)
        self._most = float(factor) * min(self._most, self._network.violation)
        return self._begin("network", self._first)

    def _begin(self, name: str, base: Ints) -> _Step:
        """Return a new step from a candidate, whose genes of other parts stay."""
        genes = self._genes
        free = np.arange(len(genes.sizes))
        if genes.parts:
            free = genes.parts[PARTS.index(name)]
        strategy = Evolution(genes.only(free), int(self._seeds.integers(1 << 32)))
        return _Step(name, free, base, strategy, best=base)
