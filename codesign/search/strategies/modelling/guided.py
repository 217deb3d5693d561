"""Evolution whose children are chosen by a model, as long as evaluations are few and dear."""

from __future__ import annotations

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.modelling.gaussian_process import GaussianProcess
from codesign.search.strategies.modelling.model_search import ModelSearch, Regression

DEAR = 20
"""Most candidates asked for at a time that a model chooses: who asks for more finds them cheap."""


class GuidedEvolution(ModelSearch):
    """Evolution, of whose many children a model takes those that promise most hypervolume.

    Asked for few candidates at a time (DEAR), it chooses as ``ModelSearch`` does, by Gaussian
    processes on the genes. Asked for more, or after MOST results, it is ``Evolution``: the cost of
    the processes grows with the cube of the results.

    Source: Ponweiser et al., "Multiobjective Optimization on a Limited Budget of Evaluations Using
    Model-Assisted S-Metric Selection" (SMS-EGO), PPSN 2008, for the gain of optimistic predictions.

    >>> import numpy as np
    >>> from codesign.search.strategies.interface import Genes
    >>> strategy = GuidedEvolution(Genes(np.array([10, 10])), seed=0)
    >>> asked = []
    >>> for _ in range(5):  # two objectives, both best at genes (3, 7); 50 of 100 candidates
    ...     asked.extend(genes := strategy.ask(10))
    ...     strategy.tell(genes, np.abs(genes - [3, 7]).astype(float), np.zeros(10))
    >>> [3, 7] in np.array(asked).tolist()
    True
    """

    SMALL, MOST = 20_000, 600

    def ask(self, count: int) -> Ints:
        if count > DEAR or self._full:
            return self._evolution.ask(count)
        return super().ask(count)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        if self._full:
            self._evolution.tell(candidates, objectives, violation)
        else:
            super().tell(candidates, objectives, violation)

    @property
    def _full(self) -> bool:
        return len(self._known) > self.MOST

    def _model(self) -> Regression:
        return GaussianProcess(self._sizes)
