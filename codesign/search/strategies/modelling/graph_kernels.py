"""Bayesian optimisation over graphs of candidates, by two kernels between graphs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.graphs import Graphs
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.modelling.kernel_process import KernelProcess
from codesign.search.strategies.modelling.model_search import ModelSearch, Regression

Words = NDArray[np.uint64]
DEPTH = 3
"""Most refinements of the labels: neighbours, their neighbours, and those of these."""
_COLUMNS = 1 << 18
"""Values that hashed labels are reduced to; of a thousand labels about two collide."""


class WeisfeilerLehman(ModelSearch):
    """NAS-BOWL: Gaussian processes with the Weisfeiler-Lehman subtree kernel of the graphs.

    A label is refined DEPTH times by those of the nodes before and behind it; the kernel of depth h
    counts the labels, from the given ones to those refined h times, that two graphs have in common
    (dot product of the counts, normalised). The depth is that of largest marginal likelihood.

    Adapted: a process an objective and the gain in hypervolume of ModelSearch in place of expected
    improvement of one; edges have a direction. The graph is the one that the search space draws
    (Genes.drawn).

    Source: Ru, Wan, Dong, Osborne, "Interpretable Neural Architecture Search via Bayesian
    Optimisation with Weisfeiler-Lehman Kernels", ICLR 2021.

    >>> WeisfeilerLehman(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    SMALL, MOST = 2000, 300

    def _model(self) -> Regression:
        return KernelProcess(_common_labels)

    def _encoded(self, candidates: Ints) -> list[csr_array]:
        """Return the counts of the labels of each depth, shape (n, _COLUMNS) each."""
        graphs = self._genes.graphs(candidates)
        count = len(graphs.labels)
        row, node = np.nonzero(graphs.labels >= 0)
        found = []
        for words in refined(graphs):
            columns = (words[row, node] % np.uint64(_COLUMNS)).astype(np.int64)
            ones = np.ones(len(row), dtype=np.float64)
            found.append(csr_array((ones, (row, columns)), shape=(count, _COLUMNS)))
        return found


def refined(graphs: Graphs) -> list[Words]:
    """Return the labels as hashes, refined 0 to DEPTH times, each uint64 of shape (n, nodes).

    A refined label is a hash of the label and of the sums of hashes before and behind the node,
    which do not depend on the order of its neighbours.
    """
    words = _mixed((graphs.labels + 1).astype(np.uint64))
    here = graphs.labels >= 0
    edges = graphs.edges.astype(np.uint64)
    found = [words]
    for _ in range(DEPTH):
        before = np.where(here, _mixed(words + np.uint64(1)), np.uint64(0))
        behind = np.where(here, _mixed(words + np.uint64(2)), np.uint64(0))
        into = np.einsum("nij,ni->nj", edges, before)
        out = np.einsum("nij,nj->ni", edges, behind)
        words = _mixed(words ^ _mixed(into + np.uint64(3)) ^ _mixed(out + np.uint64(5)))
        found.append(words)
    return found


def _mixed(words: Words) -> Words:
    """Return a hash of each word, as the generator SplitMix64 does (Steele et al., OOPSLA 2014)."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Words = mixed ^ (mixed >> np.uint64(31))
    return found


def _common_labels(left: list[csr_array], right: list[csr_array]) -> list[Floats]:
    """Return the kernels of depths 0 to DEPTH, each (n, m) with 1 for equal graphs."""
    found = []
    kernel = np.zeros((left[0].shape[0], right[0].shape[0]))
    mine, theirs = np.zeros(len(kernel)), np.zeros(kernel.shape[1])
    for one, other in zip(left, right, strict=True):
        kernel = kernel + (one @ other.T).toarray()
        mine = mine + one.power(2).sum(axis=1)
        theirs = theirs + other.power(2).sum(axis=1)
        found.append(kernel / np.sqrt(np.maximum(np.outer(mine, theirs), 1.0)))
    return found


class UntrainedNetwork(ModelSearch):
    """Gaussian processes on what graph networks with random weights make of the graphs.

    The features of a graph are means over its nodes of the last layer of WIDTH units, of COPIES
    networks of LAYERS graph convolutions each, that see neighbours before and behind a node with
    weights of their own. The kernel is exp(-distance^2 / scale^2), or the cosine, whichever is of
    largest marginal likelihood. Nothing is trained: many random networks are like one infinitely
    wide one, whose kernel needs no labels. Layers and kernel are our choice, as the summary that we
    have names an untrained graph network and no more. Adapted as WeisfeilerLehman is.

    Source: Krishnaswami Sreedhar, thesis, KTH 2021, where this kernel was best of three.

    >>> UntrainedNetwork(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    SMALL, MOST = 2000, 300
    WIDTH, LAYERS, COPIES = 32, 3, 4
    SCALES = (0.3, 1.0, 3.0)
    """Scales of the kernel, in medians of the distances of the results."""

    def __init__(self, genes: Genes, seed: int) -> None:
        super().__init__(genes, seed)
        random = np.random.default_rng([seed, 3])
        shape = (self.COPIES, self.LAYERS, 3, self.WIDTH, self.WIDTH)
        self._weights = random.standard_normal(shape) * np.sqrt(2 / self.WIDTH)
        self._labels: list[Floats] = []

    def _model(self) -> Regression:
        return KernelProcess(self._kernels)

    def _encoded(self, candidates: Ints) -> Floats:
        """Return the features of candidates, shape (n, COPIES * WIDTH)."""
        graphs = self._genes.graphs(candidates)
        here = (graphs.labels >= 0)[:, :, None]
        behind = graphs.edges / np.maximum(graphs.edges.sum(axis=2, keepdims=True), 1)
        before = graphs.edges.transpose(0, 2, 1)
        before = before / np.maximum(before.sum(axis=2, keepdims=True), 1)
        features = []
        for weights, labels in zip(self._weights, self._embedded(graphs.kinds), strict=True):
            nodes = labels[np.maximum(graphs.labels, 0)] * here
            for own, of_before, of_behind in weights:
                seen = nodes @ own + before @ nodes @ of_before + behind @ nodes @ of_behind
                nodes = np.maximum(seen / np.sqrt(3), 0.0) * here
            features.append(nodes.sum(axis=1) / np.maximum(here.sum(axis=1), 1))
        return np.concatenate(features, axis=1)

    def _embedded(self, kinds: int) -> list[Floats]:
        """Return random vectors of the labels for each copy, shape (kinds, WIDTH)."""
        if not self._labels:
            random = np.random.default_rng(kinds)
            self._labels = [random.standard_normal((kinds, self.WIDTH)) for _ in range(self.COPIES)]
        return self._labels

    def _kernels(self, left: Floats, right: Floats) -> list[Floats]:
        """Return the kernels of features, each (n, m); ``right`` are those of the results."""
        centre, spread = right.mean(axis=0), right.std(axis=0) + 1e-9
        left, right = (left - centre) / spread, (right - centre) / spread
        lengths = [np.sqrt((one**2).sum(axis=1)) + 1e-9 for one in (left, right)]
        dots = left @ right.T
        squares = np.maximum(lengths[0][:, None] ** 2 + lengths[1] ** 2 - 2 * dots, 0.0)
        unit = 2 * np.median(lengths[1]) ** 2 + 1e-9  # of random pairs, whatever the rows are
        cosine = dots / np.outer(*lengths)
        return [cosine, *(np.exp(-squares / (unit * scale**2)) for scale in self.SCALES)]
