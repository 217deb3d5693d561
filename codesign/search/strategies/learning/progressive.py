"""Progressive Pareto search: designs grow block by block, predictors say which to evaluate."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from sklearn.ensemble import GradientBoostingRegressor
from torch import Tensor, nn

from codesign.search.pareto import Floats, Ints, nondominated_sort
from codesign.search.strategies.evolving.nsga2 import ranked
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results

EXPANSIONS = 64
"""Most combinations of values of a block of genes, unless one gene has more."""
KEPT, EXPLORED = 32, 8
"""Most candidates of the predicted front, and of the exploration front, that are evaluated."""
CHILDREN = 2000
"""Most children that are predicted at a time; more are sampled."""
LEARNED = 400
"""Most results that the predictors are fitted to: the best fronts and the latest."""
ENSEMBLE, EPOCHS, HIDDEN = 3, 40, 16


class ProgressivePareto:
    """POPNASv3: candidates grow by a block of genes; of all children the predicted front stays.

    The first block's values are all evaluated. Then all candidates kept are expanded by all values
    of the next block; predictors, fitted to all results, give the objectives of the children, of
    which the Pareto front is evaluated, up to KEPT. Up to EXPLORED more come from the exploration
    front: that of children which have many values that the front under-uses (seldomer than a fifth
    of an equal share). The accuracy is predicted by an ensemble of LSTMs that read the genes, the
    other objectives by boosted trees, as is feasibility, by which infeasible children come last;
    the violation, where nothing is feasible. Asked for more than is left, it expands predictions.

    Adapted: a design of few blocks is one whose later genes have their first values, mostly the
    smallest; a block is consecutive genes with up to EXPANSIONS combinations. When all blocks are
    decided, a search of cells ends; here a new sweep expands the front found by each block again.

    Source: Falanti et al., "POPNASv3: A Pareto-Optimal Neural Architecture Search Solution for
    Image and Time Series Classification", Applied Soft Computing 2023, arXiv 2212.06735.

    >>> ProgressivePareto(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, genes: Genes, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._known = Results(genes.sizes)
        self._blocks = blocks(genes.sizes)
        self._next = 0
        """Block that the next expansion is by."""
        self._parents: Ints = np.zeros((1, len(genes.sizes)), dtype=np.int64)
        self._queue: list[Ints] = []

    def ask(self, count: int) -> Ints:
        tries = 0
        while len(self._queue) < count and tries < len(self._blocks):
            tries += 1
            if self._next and not len(self._known):
                break  # asked before it is told what the first block's values are worth
            self._expand()
        found = np.array(self._queue[:count], dtype=np.int64).reshape(-1, len(self._known.sizes))
        self._queue = self._queue[count:]
        return self._known.unknown(found, count, self._random)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._known.add(candidates, objectives, violation)

    def _expand(self) -> None:
        """Queue the best children by the next block, of parents or, in a new sweep, the front."""
        if self._next == len(self._blocks):
            self._next, self._parents = 0, self._known.candidates[self._known.best()]
        block = self._blocks[self._next]
        self._next += 1
        values = np.array(list(itertools.product(*(range(self._known.sizes[g]) for g in block))))
        children = np.repeat(self._parents, len(values), axis=0)
        children[:, block] = np.tile(values, (len(self._parents), 1))
        children = np.unique(children, axis=0)
        children = children[self._random.permutation(len(children))[:CHILDREN]]
        if len(self._known):
            objectives, violation = self._predicted(children)
            rows = self._chosen(children, objectives, violation)
            self._parents = children[rows]
        else:
            self._parents = children
        self._queue += list(self._parents[~self._known.known(self._parents)])

    def _chosen(self, children: Ints, objectives: Floats, violation: Floats) -> Ints:
        """Return the rows of the predicted front and of the exploration front."""
        ranks, crowding = ranked(objectives, violation)
        front = np.lexsort((-crowding, ranks))[:KEPT]
        if (violation <= 0).any():
            front = front[ranks[front] == 0]
        score = np.zeros(len(children))
        for gene, size in enumerate(self._known.sizes):
            uses = np.bincount(children[front, gene], minlength=size)
            score += (uses < len(front) / (5 * size))[children[:, gene]]
        score[front] = 0
        rare = np.flatnonzero(score >= max(1.0, score.max() / 2))
        if not len(rare):
            return front
        best = nondominated_sort(objectives[rare], violation[rare])
        return np.append(front, rare[np.argsort(best, kind="stable")[:EXPLORED]])

    def _predicted(self, children: Ints) -> tuple[Floats, Floats]:
        """Return predicted objectives, (n, m), and violation, (n,), of children."""
        known = self._known
        rows = known.chosen(LEARNED)
        told, seed = known.candidates[rows], int(self._random.integers(1 << 31))
        accuracy = _lstm(known.sizes, told, known.objectives[rows, 0], children, seed)
        broken = known.violation[rows]
        some = bool((broken <= 0).any())
        others = [
            _trees(told, values, children, seed)
            for values in (*known.objectives[rows, 1:].T, (broken > 0) * 1.0 if some else broken)
        ]
        violation = np.where(others[-1] > 0.5, others[-1], 0.0) if some else others[-1]
        return np.column_stack([accuracy, *others[:-1]]), violation


def blocks(sizes: Ints) -> list[Ints]:
    """Return groups of consecutive genes that have up to EXPANSIONS combinations of values each.

    >>> [block.tolist() for block in blocks(np.array([4, 4, 4, 4, 100, 2, 1]))]
    [[0, 1, 2], [3], [4], [5, 6]]
    """
    found: list[list[int]] = [[]]
    product = 1
    for gene, size in enumerate(sizes.tolist()):
        product *= size
        if product > EXPANSIONS and found[-1]:
            found.append([])
            product = size
        found[-1].append(gene)
    return [np.array(block) for block in found]


def _trees(told: Ints, values: Floats, children: Ints, seed: int) -> Floats:
    """Return values of children, shape (n,), by boosted trees fitted to those of ``told``."""
    if not np.ptp(values):
        return np.full(len(children), values[0])
    found: Floats = GradientBoostingRegressor(random_state=seed).fit(told, values).predict(children)
    return found


def _lstm(sizes: Ints, told: Ints, values: Floats, children: Ints, seed: int) -> Floats:
    """Return values of children, shape (n,), by the mean of ENSEMBLE trained LSTMs."""
    centre, spread = values.mean(), values.std() + 1e-12
    wanted = torch.from_numpy((values - centre) / spread).float()
    genes, asked = torch.from_numpy(told), torch.from_numpy(children)
    found = np.zeros(len(children))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(ENSEMBLE):
            model = _Reader(sizes)
            optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
            for _ in range(EPOCHS):
                loss = nn.functional.mse_loss(model(genes), wanted)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            with torch.no_grad():
                found += model(asked).double().numpy()
    return np.asarray(centre + spread * found / ENSEMBLE)


class _Reader(nn.Module):
    """LSTM over the embedded values of the genes, in their order, with one output."""

    def __init__(self, sizes: Ints) -> None:
        super().__init__()
        self._starts = torch.from_numpy(np.cumsum(sizes) - sizes)
        self._values = nn.Embedding(int(sizes.sum()), HIDDEN)
        self._lstm = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self._output = nn.Linear(HIDDEN, 1)

    def forward(self, genes: Tensor) -> Tensor:
        """Return one value for each row of genes, shape (n, genes)."""
        outputs, _ = self._lstm(self._values(genes + self._starts))
        found: Tensor = self._output(outputs[:, -1])[:, 0]
        return found
