"""Variation of candidates that the evolutionary strategies share: crossover and mutation."""

from __future__ import annotations

from collections.abc import Sequence

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


def cross_parts(
    mothers: Ints, fathers: Ints, parts: Sequence[Ints], share: float, random: np.random.Generator
) -> Ints:
    """Return children, shape (n, genes), that have each of the ``parts`` whole of either parent.

    share: as for ``cross``.
    """
    both = random.random((len(mothers), 1)) < share
    swap = np.zeros(mothers.shape, dtype=np.bool_)
    for part in parts:
        swap[:, part] = random.random((len(mothers), 1)) < 0.5
    return np.where(both & swap, fathers, mothers)


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


def shift(
    children: Ints, genes: Genes, chosen: NDArray[np.bool_], random: np.random.Generator
) -> Ints:
    """Return the children with one kind of genes a step up or down where ``chosen``, shape (n,).

    The kind is random; no gene leaves its values. Without kinds nothing changes.
    """
    found = children.copy()
    for row in np.flatnonzero(chosen) if genes.kinds else ():
        kind = genes.kinds[random.integers(len(genes.kinds))]
        step = 1 if random.random() < 0.5 else -1
        found[row, kind] = np.clip(found[row, kind] + step, 0, genes.sizes[kind] - 1)
    return found


def reshape(
    children: Ints, genes: Genes, chosen: NDArray[np.bool_], random: np.random.Generator
) -> Ints:
    """Return the children with an NPU of another shape, and a network for it, where ``chosen``.

    One or two genes of the NPU have new values, uniform ones; with them one kind of genes is
    shifted or levelled: an array of other lanes is well used by channels that divide by these.
    chosen: shape (n,). Without ``Genes.parts`` nothing changes.
    """
    found = children.copy()
    if not genes.parts:
        return found
    free = genes.parts[-1][genes.sizes[genes.parts[-1]] > 1]
    for row in np.flatnonzero(chosen) if len(free) else ():
        count = min(int(random.integers(1, 3)), len(free))
        changed = random.choice(free, count, replace=False)
        found[row, changed] = random.integers(0, genes.sizes[changed])
    shifted = random.random(len(found)) < 0.5
    found = shift(found, genes, chosen & shifted, random)
    return level(found, genes, chosen & ~shifted, random)


def resize(
    children: Ints, genes: Genes, chosen: NDArray[np.bool_], random: np.random.Generator
) -> Ints:
    """Return the children with elements put in or taken out where ``chosen``, shape (n,).

    Their number becomes the next larger or smaller one that there is, with equal probability. An
    element that is put in equals its neighbour, but for genes that have fewer values at its place:
    these have their largest one. Without repeated elements nothing changes.
    """
    found, repeated = children.copy(), genes.repeated
    if repeated is None:
        return found
    for child in (found[row] for row in np.flatnonzero(chosen)):  # views
        length = int(repeated.lengths[child[repeated.count]])
        gaps = np.abs(repeated.lengths - length)
        if not gaps.any():
            continue
        value = int(random.choice(np.flatnonzero(gaps == gaps[gaps > 0].min())))
        order = list(range(length))
        while order and len(order) < repeated.lengths[value]:
            place = int(random.integers(len(order)))
            order.insert(place, order[place])
        while len(order) > repeated.lengths[value]:
            del order[random.integers(len(order))]
        places = repeated.elements[: len(order)]
        child[places] = np.minimum(child[repeated.elements[order]], genes.sizes[places] - 1)
        child[repeated.count] = value
    return found


def some_gene(
    shape: tuple[int, int], rate: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a mask (n, genes) of genes to mutate: each with probability ``rate``, one at least."""
    chosen = random.random(shape) < rate
    chosen[np.arange(shape[0]), random.integers(0, shape[1], shape[0])] = True
    return chosen
