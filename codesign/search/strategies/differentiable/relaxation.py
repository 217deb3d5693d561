"""Candidates as one-hot vectors, and the distributions over the values of genes between them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from codesign.search.pareto import Ints


class Relaxation:
    """One-hot vectors of the values of all genes, gene behind gene, and mixtures of these.

    A distribution is a float32 tensor of shape (..., values), 0..1, that sums to 1 in each gene;
    values is the sum of the genes' sizes. Made with the sizes, shape (genes,).

    >>> relaxation = Relaxation(np.array([2, 3]))
    >>> vectors = relaxation.one_hot(np.array([[1, 2], [0, 1]]))
    >>> vectors.tolist()
    [[0.0, 1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0, 0.0]]
    >>> relaxation.likeliest(vectors).tolist()
    [[1, 2], [0, 1]]
    >>> relaxation.softmax(torch.zeros(5)).tolist()[:2]
    [0.5, 0.5]
    """

    def __init__(self, sizes: Ints) -> None:
        self.sizes = sizes
        self.values = int(sizes.sum())
        """Length of the vectors."""
        self._starts = np.cumsum(sizes) - sizes
        there = np.arange(sizes.max()) < sizes[:, None]
        places = np.where(there, self._starts[:, None] + np.arange(sizes.max()), self.values)
        self._padded = torch.from_numpy(places)
        """Place of each value of each gene, (genes, largest size); ``values`` where none is."""
        self.gene = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
        """Gene of each place, int64, shape (values,)."""
        self._together = (self.gene == self.gene[:, None]).float()
        """1 for places of the same gene, (values, values)."""

    def one_hot(self, candidates: Ints) -> Tensor:
        """Return candidates of shape (..., genes) as vectors, shape (..., values)."""
        found = torch.zeros((*candidates.shape[:-1], self.values))
        return found.scatter_(-1, torch.from_numpy(candidates + self._starts), 1.0)

    def likeliest(self, weights: Tensor) -> Ints:
        """Return the value of most weight of each gene, int64, shape (..., genes)."""
        none = torch.full((*weights.shape[:-1], 1), -torch.inf)
        table = torch.cat([weights, none], dim=-1)[..., self._padded]
        return np.asarray(table.argmax(dim=-1).numpy())

    def softmax(self, logits: Tensor) -> Tensor:
        """Return the softmax of each gene's logits, both of shape (..., values).

        Logits beyond +-80 count as 80: no largest one has to be looked for.
        """
        return self.shares(logits.clamp(-80, 80).exp())

    def shares(self, weights: Tensor) -> Tensor:
        """Return weights >= 0, some above 0 in each gene, divided by their sum in the gene."""
        return weights / self.sums(weights)

    def sums(self, weights: Tensor) -> Tensor:
        """Return at each place the sum of its gene's weights, both of shape (..., values)."""
        return weights @ self._together

    def drawn(self, chances: Tensor, random: torch.Generator) -> Ints:
        """Return a candidate from each distribution, int64, shape (..., genes)."""
        return self.likeliest(chances.clamp(min=1e-30).log() + gumbel(chances.shape, random))


def gumbel(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Return noise of the standard Gumbel distribution: the largest logit with it is a draw."""
    return -(-torch.rand(shape, generator=random).clamp(1e-20, 1 - 1e-7).log()).log()
