"""Variation of candidates that the evolutionary strategies share: crossover and mutation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import Ints
from codesign.search.strategies.interface import Genes


def cross(mothers: Ints, fathers: Ints, share: float, random: np.random.Generator) -> Ints:
    """Return children, shape (n, genes), by uniform crossover of n pairs.

    A child has two parents with probability ``share``, each gene of either alike; else it equals
    its mother.
    """
    both = random.random((len(mothers), 1)) < share
    swap = both & (random.random(mothers.shape) < 0.5)
    return np.where(swap, fathers, mothers)


def mutate(
    children: Ints, sizes: Ints, chosen: NDArray[np.bool_], random: np.random.Generator
) -> Ints:
    """Return the children with new values where ``chosen`` is True, both of shape (n, genes).

    A new value is uniform, or a step of +-1 (none beyond the ends), with equal probability; either
    may be the old one. sizes: number of values of each gene, shape (genes,).
    """
    fresh = random.integers(0, sizes, children.shape, dtype=np.int64)
    step = random.integers(0, 2, children.shape, dtype=np.int64) * 2 - 1
    stepped = np.clip(children + step, 0, sizes - 1)
    local = random.random(children.shape) < 0.5
    return np.where(chosen, np.where(local, stepped, fresh), children)


def level(
    children: Ints, genes: Genes, chosen: NDArray[np.bool_], random: np.random.Generator
) -> Ints:
    """Return the children with one kind of genes brought to a level where ``chosen``, shape (n,).

    The kind and the level are random; with equal probability values above the level are lowered to
    it, or those below it raised, each to its gene's largest value at most. Without kinds nothing
    changes.
    """
    found = children.copy()
    for row in np.flatnonzero(chosen) if genes.kinds else ():
        kind = genes.kinds[random.integers(len(genes.kinds))]
        to = random.integers(0, genes.sizes[kind].max())
        bound = np.minimum if random.random() < 0.5 else np.maximum
        found[row, kind] = np.minimum(bound(found[row, kind], to), genes.sizes[kind] - 1)
    return found


def some_gene(
    shape: tuple[int, int], rate: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a mask (n, genes) of genes to mutate: each with probability ``rate``, one at least."""
    chosen = random.random(shape) < rate
    chosen[np.arange(shape[0]), random.integers(0, shape[1], shape[0])] = True
    return chosen
