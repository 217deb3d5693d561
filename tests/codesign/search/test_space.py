"""Search spaces: canonical candidates are unique, active genes matter, files are read strictly."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.results import UserError
from codesign.search.space.declaration import load_declaration, shipped_name
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from codesign.search.space.parameters import Requirement
from codesign.search.space.topology import network
from models.errors import YamlError
from models.graph.verifier import verify
from tests.codesign.search.spaces import every_block

DIGITS = (importlib.resources.files("codesign.search.space.presets") / "digits.yaml").read_text()
SPACE = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
vectors = st.tuples(*(st.integers(0, int(size) - 1) for size in SPACE.sizes)).map(
    lambda genes: np.array([genes], dtype=np.int64)
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(vector=vectors)
def test_canonical_vectors_are_fixed_points_and_describe_the_same_design(
    vector: np.ndarray,
) -> None:
    canonical = SPACE.canonical(vector)
    assert (SPACE.canonical(canonical) == canonical).all()
    assert SPACE.params(canonical[0]) == SPACE.params(vector[0])
    assert network(SPACE, canonical[0]) == network(SPACE, vector[0])
    verify(network(SPACE, canonical[0])[0])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(vector=vectors, gene=st.integers(0, len(SPACE.sizes) - 1), data=st.data())
def test_a_gene_matters_exactly_when_it_is_active(
    vector: np.ndarray, gene: int, data: st.DataObject
) -> None:
    changed = vector.copy()
    changed[0, gene] = data.draw(st.integers(0, int(SPACE.sizes[gene]) - 1))
    same_vector = bool((SPACE.canonical(changed) == SPACE.canonical(vector)).all())
    moved = changed[0, gene] != vector[0, gene]
    assert same_vector == (not moved or not SPACE.active(vector)[0, gene])
    if gene in SPACE.npu_genes:
        assert network_key(SPACE, changed[0]) == network_key(SPACE, vector[0])


def test_small_images_get_fewer_stages() -> None:
    declaration = load_declaration("images")
    assert SearchSpace(declaration, (3, 32, 32), 10).max_stages == 4
    assert SearchSpace(declaration, (1, 4, 9), 10).max_stages == 2
    assert SearchSpace(declaration, (1, 1, 9), 10).max_stages == 3


@pytest.mark.parametrize(
    ("shape", "name", "halving", "stages"),
    [
        ((30, 1, 1), "tables", (1, 1), 0),
        ((1, 1, 128), "signals", (1, 2), 4),
        ((3, 7, 1), "signals", (2, 1), 2),
        ((1, 8, 8), "digits", (2, 2), 3),
        ((1, 32, 32), "images", (2, 2), 4),
        ((3, 28, 28), "images", (2, 2), 4),
        ((3, 32, 32), "photos", (2, 2), 4),
    ],
)
def test_sides_of_one_pixel_are_not_halved(shape, name, halving, stages) -> None:
    assert shipped_name(shape) == name
    space = SearchSpace(load_declaration(name), shape, 10)
    assert (space.halving, space.max_stages) == (halving, stages)
    random = np.random.default_rng(0)
    for genes in random.integers(0, space.sizes, (20, len(space.sizes))):
        verify(network(space, space.canonical(genes[None])[0])[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lanes:", "lane:", r"mine\.yaml:\d+: npu.lane: unknown key 'lane'; did you mean 'lanes'"),
        ("  hidden: [0, 32, 64]\n", "", r"mine\.yaml:\d+: network: missing key hidden"),
        ("[4, 8, 12, 16, 24, 32]", "[4, 65]", r"mine\.yaml:\d+: lanes must be 2\.\.64, not 65"),
        ("kernels: [3, 5]", "kernels: [3, 4]", r"kernels must be odd, not 4"),
        ("\nnpu:", "\n  sparsity: [dense, 2:4]\nnpu:", r"sparsity\[1\]: must be text, not 124"),
        (
            "\nnpu:",
            '\n  sparsity: [dense, "3:4"]\nnpu:',
            r"sparsity must be of dense, 1:4, 2:4, 4:8, not '3:4'",
        ),
        ("max_macs: 3000000", "max_macs: 0", r"mine\.yaml:\d+: max_macs must be >= 1, not 0"),
        ("stages: [1, 2, 3]", "stages: []", r"stages must list one or more different choices"),
        ("stages: [1, 2, 3]", "stages: [1, 1]", r"stages must list one or more different choices"),
        (
            "pooling: [max, stride]",
            "pooling: [mean]",
            r"pooling must be of max, stride, stem, not 'mean'",
        ),
        ("channels: [8, 12", "channels: [8.5, 12", r"channels\[0\]: must be an integer, not 8.5"),
        (
            "channels: [8, 12, 16, 24, 32]",
            "channels: [[8], [12]]",
            r"each of 3 stages, not 2 lists",
        ),
        ("channels: [8, 12, 16, 24, 32]", "channels: [[8], [1, 1], [2]]", r"one or more different"),
        ("residual: [false, true]", "residual: [maybe]", r"residual must be of False, True, proj"),
        ("\nnpu:", "\nforbid: [{lanes: [4, x: 3]}]\nnpu:", r"mine\.yaml:\d+: forbid"),
        ("\nnpu:", "\nrequire: [{lanes: 4}]\nnpu:", r"require\[0\].lanes: unknown key"),
        (
            "multiplier: [lut, dsp]",
            "multiplier: [lut, dsp]\n  memory_port_bits: [0, 48]",
            r"memory_port_bits must be of 0, 32, 64, 128, not 48",
        ),
        (
            "multiplier: [lut, dsp]",
            "multiplier: [lut, dsp]\n  weight_depth: [1000]",
            r"weight_depth must be of 16, 32, .*, 65536, not 1000",
        ),
        (
            "multiplier: [lut, dsp]",
            "multiplier: [lut, dsp]\n  weight_depth: [1024]",
            r"npu.weight_depth needs npu.memory_port_bits above 0",
        ),
        (
            "multiplier: [lut, dsp]",
            "multiplier: lut",
            r"mine\.yaml:\d+: npu.multiplier: must be a list",
        ),
    ],
)
def test_mistakes_in_a_space_file_are_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in DIGITS
    path = tmp_path / "mine.yaml"
    path.write_text(DIGITS.replace(old, new, 1))
    with pytest.raises(YamlError, match=message):
        load_declaration(path)


def test_patterns_are_listed_for_each_stage_and_the_head(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    lists = "[[dense], [dense, '2:4'], ['1:4'], [dense]]"
    path.write_text(DIGITS.replace("\nnpu:", f"\n  sparsity: {lists}\nnpu:", 1))
    space = SearchSpace(load_declaration(path), (1, 8, 8), 10)
    assert space.choices["sparsity2"] == ("dense", "2:4")
    assert space.choices["sparsity.head"] == ("dense",)
    path.write_text(DIGITS.replace("\nnpu:", "\n  sparsity: [[dense], [dense]]\nnpu:", 1))
    with pytest.raises(YamlError, match="one for the fully connected layers, not 2 lists"):
        load_declaration(path)


def test_an_unknown_name_lists_the_shipped_spaces() -> None:
    with pytest.raises(UserError, match="images, photos, signals, tables, not 'galaxies'"):
        load_declaration("galaxies")


def test_stages_take_lists_of_their_own_and_keep_their_size_where_that_is_chosen() -> None:
    space = SearchSpace(every_block(), (3, 32, 32), 10)
    assert space.choices["channels1"] == (1, 4, 8)
    assert space.choices["channels3"] == (16, 24)
    params = {"stages": 3, "pooling": "max", "convs1": 2, "block2": "inverted3", "convs2": 2}
    params |= {"block1": "separable", "halve2": False, "residual2": "projection", "kernel2": 3}
    graph, _ = network(space, candidate_of(space, params))
    shapes = graph.shapes
    assert shapes["conv2_1_expand"][0] == 3 * shapes["pool1"][0]
    assert shapes["add2"][1:] == (16, 16)
    assert shapes["pool3"][1:] == (8, 8)
    names = [layer.name for layer in graph.layers]
    assert "conv1_1_depthwise" not in names
    assert "conv1_2_depthwise" in names
    assert "projection2" in names


def candidate_of(space: SearchSpace, params: dict[str, object]) -> np.ndarray:
    """The first choice of every parameter but of ``params``."""
    candidate = np.zeros(len(space.sizes), dtype=np.int64)
    for name, value in params.items():
        candidate[space.index[name]] = space.choices[name].index(value)
    return space.canonical(candidate[None])[0]


def test_rules_count_what_a_candidate_breaks() -> None:
    forbid = ({"stages": 2, "kernel1": (3, 5)}, {"hidden": 64})
    require = (Requirement(when={"pooling": "stride"}, then={"head": "average"}),)
    base = load_declaration("images")
    space = SearchSpace(dataclasses.replace(base, forbid=forbid, require=require), (3, 32, 32), 10)
    random = np.random.default_rng(3)
    candidates = space.canonical(random.integers(0, space.sizes, (200, len(space.sizes))))
    broken = space.broken_rules(candidates)
    for row, candidate in enumerate(candidates):
        params = space.params(candidate)
        count = params["stages"] == 2 and params["kernel1"] in (3, 5)
        count += params["hidden"] == 64
        count += params["pooling"] == "stride" and params.get("head") != "average"
        assert broken[row] == count
    assert 0 < (broken == 0).mean() < 1


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"channel1": 16}, "no parameter 'channel1'; did you mean 'channels1'"),
        ({"channels1": 17}, "17 is no choice of channels1, which are 16, 24, 32, 48, 64, 96, 128"),
    ],
)
def test_a_rule_about_what_the_space_lacks_is_refused(rule: dict[str, int], message: str) -> None:
    base = dataclasses.replace(load_declaration("images"), forbid=(rule,))
    space = SearchSpace(base, (3, 32, 32), 10)
    with pytest.raises(UserError, match=message):
        space.broken_rules(np.zeros((1, len(space.sizes)), dtype=np.int64))
