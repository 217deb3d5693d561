"""Crossover and mutation of candidates: what each may change, and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.strategies import Evolution, Genes, Repeated
from codesign.search.strategies.evolving import variation

SIZES = np.array([4, 1, 7, 12, 2, 9, 30], dtype=np.int64)
KINDS = (np.array([0, 2, 6]), np.array([3, 5]))
NETWORK, NPU = np.array([0, 1, 2, 3]), np.array([4, 5, 6])
GENES = Genes(SIZES, KINDS, parts=(NETWORK, np.array([], np.int64), NPU))
LENGTHS = np.array([1, 3, 4])
LISTED = Genes(
    np.array([3, 9, 5, 9, 5, 9, 5, 9, 3, 8]),
    repeated=Repeated(0, LENGTHS, np.array([[1, 2], [3, 4], [5, 6], [7, 8]])),
)
"""Up to four elements of two genes, of which the last one's second has fewer values."""
ROWS = 400
CHOSEN = np.arange(ROWS) % 2 == 0


def drawn(genes: Genes) -> tuple[np.ndarray, np.random.Generator]:
    random = np.random.default_rng(0)
    return random.integers(0, genes.sizes, (ROWS, len(genes.sizes))), random


def test_a_kind_of_genes_is_brought_to_one_level_at_a_time() -> None:
    before, random = drawn(GENES)
    after = variation.level(before, GENES, CHOSEN, random)
    assert (after[~CHOSEN] == before[~CHOSEN]).all()
    assert (after < SIZES).all()
    assert (after >= 0).all()
    for old, new in zip(before[CHOSEN], after[CHOSEN], strict=True):
        changed = np.flatnonzero(old != new)
        assert any(set(changed) <= set(kind) for kind in GENES.kinds)
        # All lowered to a level or all raised to it; a gene of few values stops at its largest.
        assert len(set(np.sign(new - old)[changed])) <= 1
        full = new[changed] == SIZES[changed] - 1
        assert len(set(new[changed][~full])) <= 1
    assert (variation.level(before, Genes(SIZES), CHOSEN, random) == before).all()


def test_a_kind_of_genes_is_shifted_by_one_step() -> None:
    before, random = drawn(GENES)
    after = variation.shift(before, GENES, CHOSEN, random)
    assert (after[~CHOSEN] == before[~CHOSEN]).all()
    for old, new in zip(before[CHOSEN], after[CHOSEN], strict=True):
        changed = np.flatnonzero(old != new)
        assert any(set(changed) <= set(kind) for kind in KINDS)
        assert len(set((new - old)[changed])) <= 1
    assert (variation.shift(before, Genes(SIZES), CHOSEN, random) == before).all()


def test_children_have_each_part_whole_of_one_parent() -> None:
    random = np.random.default_rng(0)
    mothers, fathers = np.zeros((ROWS, 7), np.int64), np.ones((ROWS, 7), np.int64)
    children = variation.cross_parts(mothers, fathers, GENES.parts, 0.8, random)
    for part in (NETWORK, NPU):
        assert (children[:, part] == children[:, part[:1]]).all()
    mixed = (children[:, 0] != children[:, 4]).mean()
    assert 0.3 < mixed < 0.5  # half of the 0.8 that have two parents


def test_an_npu_is_changed_in_one_or_two_genes_with_one_kind_of_genes() -> None:
    before, random = drawn(GENES)
    after = variation.reshape(before, GENES, CHOSEN, random)
    assert (after[~CHOSEN] == before[~CHOSEN]).all()
    assert ((after >= 0) & (after < SIZES)).all()
    moved = 0
    for old, new in zip(before[CHOSEN], after[CHOSEN], strict=True):
        changed = set(np.flatnonzero(old != new).tolist())
        assert any(len(changed - set(kind.tolist()) - {1}) <= 2 for kind in KINDS)
        assert changed & set(NETWORK.tolist()) <= {0, 2} or changed & set(NETWORK.tolist()) <= {3}
        moved += bool(changed & {*NPU.tolist()}) and bool(changed & {*NETWORK.tolist()})
    assert moved > ROWS / 8
    assert (variation.reshape(before, Genes(SIZES, KINDS), CHOSEN, random) == before).all()


def test_an_element_is_copied_beside_itself_or_taken_out() -> None:
    before, random = drawn(LISTED)
    after = variation.resize(before, LISTED, CHOSEN, random)
    assert (after[~CHOSEN] == before[~CHOSEN]).all()
    assert LISTED.repeated is not None
    elements = LISTED.repeated.elements
    seen = set()
    for old, new in zip(before[CHOSEN], after[CHOSEN], strict=True):
        was, now = int(LENGTHS[old[0]]), int(LENGTHS[new[0]])
        seen.add((was, now))
        ways = itertools.combinations_with_replacement(range(was), now)
        orders = [way for way in ways if len(set(way)) == min(was, now)]
        limits = LISTED.sizes[elements[:now]] - 1
        made = [np.minimum(old[elements[list(way)]], limits).tolist() for way in orders]
        assert new[elements[:now]].tolist() in made
        assert (new[elements[now:]] == old[elements[now:]]).all()
        assert new[9] == old[9]
    assert seen == {(1, 3), (3, 4), (4, 3)}, "the next number"


def test_without_several_numbers_of_elements_nothing_is_resized() -> None:
    before, random = drawn(LISTED)
    alone = Genes(LISTED.sizes)
    assert (variation.resize(before, alone, CHOSEN, random) == before).all()
    assert LISTED.repeated is not None
    equal = Repeated(0, np.array([2, 2, 2]), LISTED.repeated.elements)
    same = Genes(LISTED.sizes, repeated=equal)
    assert (variation.resize(before, same, CHOSEN, random) == before).all()


def test_no_element_is_put_in_beside_none() -> None:
    genes = Genes(np.array([2, 5]), repeated=Repeated(0, np.array([0, 1]), np.array([[1]])))
    before = np.array([[0, 3], [1, 3]])
    after = variation.resize(before, genes, np.array([True, True]), np.random.default_rng(0))
    assert after.tolist() == [[1, 3], [0, 3]]


def test_some_of_the_genes_are_a_space_of_their_own() -> None:
    few = GENES.only(np.array([2, 3, 5]))
    assert few.sizes.tolist() == [7, 12, 9]
    assert [kind.tolist() for kind in few.kinds] == [[1, 2]]
    listed = LISTED.only(np.array([0, 1, 3, 5, 7])).repeated
    assert listed is not None
    assert (listed.count, listed.elements.tolist()) == (0, [[1], [2], [3], [4]])
    assert LISTED.only(np.array([1, 3, 5, 7])).repeated is None
    assert LISTED.only(np.array([0, 9])).repeated is None


@pytest.mark.parametrize("name", ["digits", "images", "photos", "signals"])
def test_stages_of_a_space_are_its_repeated_elements(name: str) -> None:
    space = SearchSpace(load_declaration(name), (3, 32, 32), 10)
    repeated = space.genes.repeated
    assert repeated is not None
    assert space.parameters[repeated.count].name == "stages"
    assert repeated.lengths.tolist() == list(space.choices["stages"])
    names = [[space.parameters[gene].name for gene in row] for row in repeated.elements]
    for stage, row in enumerate(names, 1):
        assert [one.replace(str(stage), "1", 1) for one in row] == names[0]
    every = sum(any(c.isdigit() for c in one.name) for one in space.parameters)
    assert sum(map(len, names)) == every


def test_a_space_without_stages_has_no_repeated_elements() -> None:
    assert SearchSpace(load_declaration("tables"), (13, 1, 1), 3).genes.repeated is None


def test_children_of_an_evolution_with_all_of_it_are_candidates() -> None:
    space = SearchSpace(load_declaration("images"), (3, 32, 32), 10)
    strategy = Evolution(space.genes, seed=0, resized=1.0, reshaped=1.0)
    for _ in range(4):
        found = strategy.ask(64)
        assert found.dtype == np.int64
        assert ((found >= 0) & (found < space.sizes)).all()
        strategy.tell(found, found[:, :2].astype(float), np.zeros(len(found)))
