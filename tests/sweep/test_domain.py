"""The sweep can draw every network and NPU that a search can find.

Also: a draw reaches every value of every range, and every case lies in the domain.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import random
from collections.abc import Iterator

import numpy as np
import pytest

from codesign.compiler import minimal_depths
from codesign.results import InfeasibleError
from codesign.search.space import candidates
from codesign.search.space.declaration import load_declaration, with_every_multiplier
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.random_networks import random_config
from tests.sweep import domain
from tests.sweep.cases import draw
from tests.sweep.domain import Sizes, outside

SHAPES = {
    "digits": ((1, 8, 8),),
    "images": ((1, 28, 28), (3, 32, 32)),
    "photos": ((3, 32, 32),),
    "signals": ((6, 1, 64),),
    "tables": ((13, 1, 1),),
}
"""Shipped search space -> shapes of images, signals or tables that it is for; see domain.MAP."""
SPACES = [(name, shape) for name, shapes in SHAPES.items() for shape in shapes]
ATTEMPTS = 40


def designs(space: SearchSpace, chosen: np.ndarray) -> Iterator[tuple[IntegerNetwork, NpuConfig]]:
    """Yield each candidate's integer network and its NPU with the shallowest memories."""
    npus = candidates.npu_table(space, chosen, layer_table(space, chosen))
    for row, candidate in enumerate(chosen):
        config = npus.config(row)
        integer = shape_only(*network(space, candidate), config.scale_bits)
        yield integer, dataclasses.replace(config, **minimal_depths(integer, config))


def parents(space: SearchSpace, gene: int) -> Iterator[tuple[int, list[int]]]:
    """Yield each gene that ``gene`` depends on, with its choices that make ``gene`` active."""
    for name, least in space.parameters[gene].requires:
        parent = space.index[name]
        choices = space.parameters[parent].choices
        yield parent, [i for i, choice in enumerate(choices) if int(choice) >= least]


def with_choice(
    space: SearchSpace, gene: int, choice: int, pick: np.random.Generator
) -> np.ndarray:
    """Return a random candidate, shape (1, genes), with ``gene`` active and at that choice."""
    vector = pick.integers(0, space.sizes)
    for parent, fitting in parents(space, gene):
        vector[parent] = pick.choice(fitting)
    vector[gene] = choice
    return space.canonical(vector[None])


def test_the_shipped_spaces_are_all_here() -> None:
    folder = importlib.resources.files("codesign.search.space.presets")
    assert {entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")} == {
        f"{name}.yaml" for name in SHAPES
    }


@pytest.mark.parametrize(("name", "shape"), SPACES)
def test_every_choice_of_a_shipped_space_is_in_the_domain(
    name: str, shape: tuple[int, int, int]
) -> None:
    """Each choice of each gene is tried in a random candidate that some NPU can run."""
    space = SearchSpace(with_every_multiplier(load_declaration(name)), shape, 10)
    pick = np.random.default_rng(11)
    for gene, parameter in enumerate(space.parameters):
        if not all(fitting for _, fitting in parents(space, gene)):
            continue  # no candidate has it: networks for tables have no stages to follow
        for choice in range(len(parameter.choices)):
            for _ in range(ATTEMPTS):
                try:
                    (design,) = designs(space, with_choice(space, gene, choice, pick))
                except InfeasibleError:
                    continue
                assert outside(*design) == []
                break
            else:
                pytest.fail(f"no feasible candidate with {parameter.name} choice {choice}")


@pytest.mark.parametrize(("part", "wider", "found"), [
    ("network", {"kernels": (5,)}, "kernel (5, 5)"),
    ("network", {"channels": (512,)}, "shape (512,"),
    ("npu", {"pixels": (9,)}, "npu.pixels = 9"),
    ("npu", {"multiplier": ("dsp",)}, "npu.multiplier = dsp"),
])  # fmt: skip
def test_a_space_wider_than_the_sweep_is_noticed(
    part: str, wider: dict[str, tuple[object]], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "KERNEL", Sizes(3, 3))
    monkeypatch.setitem(domain.NPU, "pixels", range(1, 9))
    monkeypatch.setitem(domain.NPU, "multiplier", ("lut",))
    declaration = load_declaration("digits")
    choices = dataclasses.replace(getattr(declaration, part), **wider)
    space = SearchSpace(dataclasses.replace(declaration, **{part: choices}), (1, 16, 16), 10)
    pick = np.random.default_rng(3)
    (design,) = designs(space, with_choice(space, space.index["kernel1"], 0, pick))
    assert any(found in text for text in outside(*design))


def test_a_parameter_that_the_sweep_does_not_draw_is_noticed() -> None:
    fields = {field.name for field in dataclasses.fields(NpuConfig)}
    assert fields - set(DEPTH_RANGES) == set(domain.NPU)


@pytest.mark.parametrize(
    "sizes",
    [sizes for sizes in vars(domain).values() if isinstance(sizes, Sizes)],
    ids=lambda sizes: f"{sizes.usual}..{sizes.most}",
)
def test_a_draw_reaches_every_size(sizes: Sizes) -> None:
    pick = random.Random(1)
    drawn = {sizes.draw(pick, 0.5) for _ in range(100_000)}
    assert drawn == set(range(1, sizes.most + 1))


def test_a_draw_reaches_every_value_of_every_npu_parameter() -> None:
    pick = random.Random(3)
    net = NetworkBuilder(pick, (1, 2, 2), 1, scale_bits=4)
    net.linear("image", 2)
    small = net.build()
    configs = [random_config(pick, small, 1, tail=0.5) for _ in range(5000)]
    for name, reached in {
        "pixels": set(range(1, 17)),
        "lanes": set(range(2, 65)),
        "weight_digit_bits": {1, 2, 4, 8},
        "activation_bits": set(range(1, 9)),
        "accumulator_bits": set(range(10, 33)),
        "scale_bits": set(range(4, 17)),
        "multiplier": {"lut", "dsp", "dsp2", "dsp4"},
        "sparsity": {"dense", "1:4", "2:4", "4:8"},
    }.items():
        assert {getattr(config, name) for config in configs} == reached, name
    assert max(config.columns for config in configs) == 128
    assert {config.lanes // config.post_units for config in configs} >= {1, 2, 3, 4, 5, 7}


def test_cases_are_in_the_domain_and_the_same_every_time() -> None:
    for seed in range(25):
        case = draw(seed)
        assert outside(case.network, case.config) == []
        again = draw(seed)
        assert case.compiled.traced.words == again.compiled.traced.words
        assert (case.images == again.images).all()
        assert len(case.compiled.traced.steps) <= 64  # the cycle log holds them all
