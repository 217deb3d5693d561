"""Candidates as one-hot vectors, and the distributions over the values of genes between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import Ints

Vectors = NDArray[np.float32]


class Relaxation:
    """One-hot vectors of the values of all genes, gene behind gene, and mixtures of these.

    A distribution is a float32 array of shape (..., values), 0..1, that sums to 1 in each gene;
    values is the sum of the genes' sizes. Made with the sizes, shape (genes,).

    >>> relaxation = Relaxation(np.array([2, 3]))
    >>> vectors = relaxation.one_hot(np.array([[1, 2], [0, 1]]))
    >>> vectors.tolist()
    [[0.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0, 0.0]]
    >>> relaxation.likeliest(vectors).tolist()
    [[1, 2], [0, 1]]
    >>> relaxation.softmax(np.zeros(5, dtype=np.float32)).tolist()[:2]
    [0.5, 0.5]
    """

    def __init__(self, sizes: Ints) -> None:
        self.sizes = sizes
        self.values = int(sizes.sum())
        """Length of the vectors."""
        self._starts = np.cumsum(sizes) - sizes
        self.gene = np.repeat(np.arange(len(sizes)), sizes)
        """Gene of each place, shape (values,)."""
        self.value = np.arange(self.values) - self._starts[self.gene]
        """Value of its gene at each place, shape (values,)."""
        self._padded = np.full((len(sizes), sizes.max()), self.values)
        self._padded[self.gene, self.value] = np.arange(self.values)

    def one_hot(self, candidates: Ints) -> Vectors:
        """Return candidates of shape (..., genes) as vectors, shape (..., values)."""
        found = np.zeros((*candidates.shape[:-1], self.values), dtype=np.float32)
        np.put_along_axis(found, candidates + self._starts, 1.0, axis=-1)
        return found

    def likeliest(self, weights: Vectors) -> Ints:
        """Return the value of most weight of each gene, the first of equal ones, (..., genes)."""
        none = np.full((*weights.shape[:-1], 1), -np.inf, dtype=np.float32)
        table = np.concatenate([weights, none], axis=-1)[..., self._padded]
        found: Ints = table.argmax(axis=-1)
        return found

    def sums(self, weights: Vectors) -> Vectors:
        """Return at each place the sum of its gene's weights, both of shape (..., values)."""
        found: Vectors = np.add.reduceat(weights, self._starts, axis=-1)[..., self.gene]
        return found

    def shares(self, weights: Vectors) -> Vectors:
        """Return weights >= 0, some above 0 in each gene, divided by their sum in the gene."""
        found: Vectors = weights / self.sums(weights)
        return found

    def softmax(self, logits: Vectors) -> Vectors:
        """Return the softmax of each gene's logits, both of shape (..., values).

        Logits beyond +-80 count as 80: no largest one has to be looked for.
        """
        return self.shares(np.exp(np.clip(logits, -80, 80)))

    def drawn(self, chances: Vectors, random: np.random.Generator) -> Ints:
        """Return a candidate from each distribution, shape (..., genes)."""
        return self.likeliest(np.log(np.maximum(chances, 1e-30)) + gumbel(chances.shape, random))


def gumbel(shape: tuple[int, ...], random: np.random.Generator) -> Vectors:
    """Return noise of the standard Gumbel distribution: the largest logit with it is a draw."""
    drawn = random.standard_exponential(shape, dtype=np.float32)
    found: Vectors = -np.log(np.maximum(drawn, np.float32(1e-30)))
    return found
