"""Every candidate of a search space is a valid NPU, with the cycles and memories of the compiler.

The vectorised tables of candidates are compared with lowering and compiling them one by one.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.compiler import minimal_depths, plan, worst_accumulator_bits
from codesign.cost.cycles.schedule import ScheduleTable, schedule
from codesign.results import Budget, InfeasibleError
from codesign.search.engine import Problem, with_all_npus
from codesign.search.space import accumulators
from codesign.search.space import candidates as candidates_of
from codesign.search.space.choices import PORT, WEIGHT_DEPTH
from codesign.search.space.declaration import SpaceDeclaration, load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import instruction_words
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import (
    DEPTH_RANGES,
    DIGIT_BITS,
    MULTIPLIERS,
    SPARSITIES,
    ConfigError,
    is_stacked,
)
from tests.codesign.cost import synthetic
from tests.codesign.search.spaces import concats, every_block, mixed_patterns, with_memory_port

SPACES = [("digits", (1, 8, 8)), ("images", (1, 28, 28)), ("images", (3, 32, 32)),
          ("tables", (30, 1, 1)), ("signals", (2, 1, 128)), ("blocks", (3, 32, 32)),
          ("concats", (3, 32, 32)), ("concats", (1, 9, 14)),
          ("patterns", (3, 32, 32)), ("memory", (3, 32, 32)), ("shallow", (1, 28, 28))]  # fmt: skip
COUNT = 25


def declared(name: str) -> SpaceDeclaration:
    own = {
        "blocks": every_block, "concats": concats, "patterns": mixed_patterns,
        "memory": lambda: with_memory_port((256, 512, 1024, 2048)),
        "shallow": lambda: with_memory_port((16, 64)),
    }  # fmt: skip
    return own[name]() if name in own else load_declaration(name)


def random_candidates(space: SearchSpace, count: int, seed: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    return space.canonical(random.integers(0, space.sizes, (count, len(space.sizes))))


@pytest.mark.parametrize(("name", "shape"), SPACES)
def test_schedule_equals_the_compilers_plan(name: str, shape: tuple[int, int, int]) -> None:
    space = SearchSpace(declared(name), shape, 10)
    chosen = random_candidates(space, COUNT)
    layers = layer_table(space, chosen)
    npus = candidates_of.npu_table(space, chosen, layers)
    planned = schedule(layers, npus)
    right_depths = 0
    for row, candidate in enumerate(chosen):
        integer = shape_only(*network(space, candidate), 8)
        config = npus.config(row)
        assert config.accumulator_bits == max(
            worst_accumulator_bits(integer), accumulators.LEAST_ACCUMULATOR_BITS
        )
        right_depths += _equals_plan(integer, config, planned, row)
    # Placement may find gaps that the bound on activation memory does not see.
    assert right_depths >= 0.9 * COUNT


def _equals_plan(
    integer: IntegerNetwork, config: NpuConfig, planned: ScheduleTable, row: int
) -> bool:
    # Beside a memory port the estimated depth counts, as in a design (``to_design``): parts of
    # weights are half as large.
    sized = dataclasses.replace(config, weight_depth=int(planned.depths()["weight_depth"][row]))
    try:
        depths = minimal_depths(integer, sized)
    except InfeasibleError:
        assert not planned.fits()[row]
        return True
    exact = plan(integer, dataclasses.replace(config, **depths))
    assert planned.cycles[row] == exact.cycles + exact.memory_wait_cycles
    if exact.interval_cycles is not None:
        assert planned.interval_cycles[row] == exact.interval_cycles
    found = {name: int(values[row]) for name, values in planned.depths().items()}
    activation = "activation_depth"
    assert {**found, activation: 0} == {**depths, activation: 0}
    return found[activation] == depths[activation]


@pytest.mark.parametrize(("name", "shape"), SPACES)
def test_every_point_builds_a_valid_npu(name: str, shape: tuple[int, int, int]) -> None:
    space = SearchSpace(declared(name), shape, 10)
    # The ends of every gene, beside random points.
    corners = np.stack([np.zeros_like(space.sizes), space.sizes - 1])
    single = np.tile(corners[1] // 2, (int(space.sizes.max()), 1))
    values = np.minimum(np.arange(len(single))[:, None], space.sizes - 1)
    genes = np.arange(len(space.sizes))
    sweep = [np.where(genes == gene, values, single) for gene in space.npu_genes]
    chosen = space.canonical(np.vstack([corners, *sweep, random_candidates(space, 300)]))
    npus = candidates_of.npu_table(space, chosen, layer_table(space, chosen))
    for row in range(len(chosen)):
        config = npus.config(row)
        assert config.columns % config.lanes == 0
        assert config.lanes % config.post_units == 0


def test_the_array_is_as_sparse_as_the_weights_where_lanes_and_products_allow() -> None:
    found = load_declaration("digits")
    bits = dataclasses.replace(found.bits, sparsity=("dense", "2:4", "4:8"))
    npu = dataclasses.replace(found.npu, lanes=(4, 12, 16), multiplier=("lut", "dsp", "dsp2"))
    space = SearchSpace(dataclasses.replace(found, bits=bits, npu=npu), (1, 8, 8), 10)
    chosen = random_candidates(space, 300)
    npus = candidates_of.npu_table(space, chosen, layer_table(space, chosen))
    seen = set()
    for row, candidate in enumerate(chosen):
        wished, config = space.params(candidate), npus.config(row)
        divides = config.lanes % SPARSITIES[str(wished["sparsity"])][1] == 0
        assert config.sparsity == (wished["sparsity"] if divides else "dense")
        if config.sparsity != "dense" and wished["multiplier"] == "dsp2":
            assert config.multiplier == "dsp"
        _, quantisation = network(space, candidate)
        patterns = {
            name: str(spec.sparsity or "dense") for name, spec in quantisation.layers.items()
        }
        assert patterns["conv1_1"] == "dense"
        assert patterns["classifier"] == wished["sparsity"]
        seen.add((wished["sparsity"], config.sparsity))
    assert len(seen) == 4  # 12 lanes hold no groups of 8


def test_stages_have_patterns_of_their_own_and_the_array_one_of_these_or_another() -> None:
    space = SearchSpace(mixed_patterns(), (3, 32, 32), 10)
    chosen = random_candidates(space, 400)
    npus = candidates_of.npu_table(space, chosen, layer_table(space, chosen))
    densest = ("dense", "4:8", "2:4", "1:4")
    seen = set()
    for row, candidate in enumerate(chosen):
        params, (graph, quantisation) = space.params(candidate), network(space, candidate)
        listed = {
            name.removeprefix("sparsity"): str(word)
            for name, word in params.items()
            if name.startswith("sparsity")
        }
        for layer in graph.layers:
            spec = quantisation.spec(layer.name)
            stage = layer.name[4] if layer.name.startswith("conv") else ".head"
            grouped = getattr(layer.spec, "groups", 1) > 1
            if layer.name == "conv1_1" or grouped or layer.spec.op not in ("conv2d", "linear"):
                assert spec.sparsity is None, layer.name
            elif not layer.name.startswith("projection"):
                assert str(spec.sparsity or "dense") == listed[stage], layer.name
        wished = params["array_sparsity"]
        if wished == "weights":
            wished = min(listed.values(), key=densest.index)
        config = npus.config(row)
        fits = config.lanes % SPARSITIES[str(wished)][1] == 0
        assert config.sparsity == (wished if fits else "dense")
        seen.add((len(set(listed.values())), config.sparsity))
    assert len(seen) > 8


def test_networks_of_a_space_with_one_pattern_are_not_the_dense_ones() -> None:
    found = load_declaration("digits")
    keys = []
    for words in (("dense",), ("2:4",)):
        bits = dataclasses.replace(found.bits, sparsity=words)
        space = SearchSpace(dataclasses.replace(found, bits=bits), (1, 8, 8), 10)
        first = np.zeros(len(space.sizes), dtype=np.int64)
        keys.append(network_key(space, first))
        _, quantisation = network(space, first)
        assert str(quantisation.layers["classifier"].sparsity or "dense") == words[0]
    assert keys[0] != keys[1]


def test_a_design_holds_what_its_network_needs() -> None:
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    chosen = random_candidates(space, 5)
    npus = candidates_of.npu_table(space, chosen, layer_table(space, chosen))
    for row, candidate in enumerate(chosen):
        design = candidates_of.to_design(
            space, candidate, npus.config(row), name="found", seed=1, dataset="digits",
            clock_mhz=50.0,
        )  # fmt: skip
        integer = shape_only(design.network, design.quantisation, design.npu.scale_bits)
        use = plan(integer, design.npu).use
        for memory, (low, _) in DEPTH_RANGES.items():
            depth = getattr(design.npu, memory)
            assert use.needs()[memory] <= depth
            assert depth == low or use.needs()[memory] > depth // 2
        assert (design.name, design.seed, design.clock_mhz) == ("found", 1, 50.0)


def test_a_block_ram_budget_stacks_weight_memories() -> None:
    """Designs are built as they were estimated, some of them with a stack."""
    space = SearchSpace(load_declaration("images"), (3, 32, 32), 10)
    budget = Budget(luts=1e6, brams=1.0)
    found = Problem(space, synthetic.model(), budget).evaluate(random_candidates(space, 200))
    stacked = np.flatnonzero(is_stacked(found.estimate.npu.weight_depth))
    assert len(stacked)
    for row in (stacked[0], np.flatnonzero(found.estimate.npu.weight_depth <= 1024)[0]):
        npu = found.estimate.npu.config(int(row))
        design = candidates_of.to_design(
            space, found.candidates[row], npu, name="found", seed=1, dataset="digits",
            clock_mhz=50.0,
        )  # fmt: skip
        assert design.npu.weight_depth == npu.weight_depth


def test_overheads_of_a_layer_do_not_depend_on_pixels_columns_and_post_units() -> None:
    """The closed form computes these figures once for all pixels, columns and post units."""
    random = np.random.default_rng(2)
    seen: dict[tuple[object, ...], set[tuple[int, int]]] = {}
    for _ in range(3000):
        lanes = int(random.choice([4, 8, 16]))
        knobs = dict(
            lanes=lanes,
            weight_digit_bits=int(random.choice(DIGIT_BITS)),
            activation_bits=int(random.choice([2, 4, 8])),
            accumulator_bits=int(random.choice([16, 32])),
            multiplier=str(random.choice(MULTIPLIERS)),
            sparsity=str(random.choice(list(SPARSITIES))),
        )
        size = lanes * int(random.integers(1, 4))
        pixels, units = int(random.choice([1, 2, 4, 6])), int(random.choice([1, 2, 4]))
        try:
            config = NpuConfig(pixels=pixels, columns=size, post_units=units, **knobs)
        except ConfigError:
            continue
        cycles = timing.flush_cycles(config) + timing.overhead_cycles(config, Opcode.LAYER)
        figures = cycles, instruction_words(config, Opcode.LAYER)
        seen.setdefault(tuple(knobs.values()), set()).add(figures)
    assert len(seen) > 200
    assert all(len(figures) == 1 for figures in seen.values())


def test_a_search_may_keep_the_array_narrower_than_the_image() -> None:
    found = load_declaration("images")
    npu = dataclasses.replace(found.npu, wide_inputs=(False, True))
    space = SearchSpace(dataclasses.replace(found, npu=npu), (3, 32, 32), 10)
    chosen = random_candidates(space, 300)
    layers = layer_table(space, chosen)
    npus = candidates_of.npu_table(space, chosen, layers)
    planned, narrow, exact = schedule(layers, npus), 0, 0
    for row, candidate in enumerate(chosen):
        config = npus.config(row)  # a valid one
        integer = shape_only(*network(space, candidate), 8)
        image = integer.tensors[integer.input].bits
        wished = bool(space.params(candidate)["wide_inputs"])
        assert (config.activation_bits < image) == bool(config.wide_input_passes)
        if not config.wide_input_passes:
            continue
        assert wished
        narrow += 1
        if exact < 15 and planned.fits()[row]:
            exact += 1
            sized_npu = dataclasses.replace(config, **minimal_depths(integer, config))
            assert plan(integer, sized_npu).cycles == planned.cycles[row]
    assert narrow >= 30
    assert exact == 15


@pytest.mark.parametrize(("name", "shape"), SPACES)
def test_images_back_to_back_follow_as_the_compiler_plans(
    name: str, shape: tuple[int, int, int]
) -> None:
    space = SearchSpace(declared(name), shape, 10)
    chosen = random_candidates(space, COUNT, seed=6)
    layers = layer_table(space, chosen)
    npus = candidates_of.npu_table(space, chosen, layers)
    planned = schedule(layers, npus)
    streams = planned.streams(planned.depths()["activation_depth"])
    deepest, fitting = DEPTH_RANGES["activation_depth"][1], np.flatnonzero(planned.fits())
    alike = 0
    for row in fitting:
        integer = shape_only(*network(space, chosen[row]), 8)
        config = npus.config(row)
        least = dataclasses.replace(config, **minimal_depths(integer, config))
        alike += (plan(integer, least).interval_cycles is not None) == streams[row]
        deep = dataclasses.replace(least, activation_depth=deepest)
        found = plan(integer, deep).interval_cycles
        assert found in (planned.interval_cycles[row], None)
        assert found or planned.stream_depth[row] > deepest // 2
    # Placement may find gaps that the bound on activation memory does not see.
    assert alike >= 0.9 * len(fitting)
    assert streams[fitting].mean() >= 0.1


def test_a_depth_of_weight_memory_is_chosen_beside_a_port_alone() -> None:
    declaration = with_memory_port((256, 1024))
    few = {"pixels": (2,), "lanes": (8,), "column_words": (1, 4), "wide_inputs": (False,)}
    npu = dataclasses.replace(
        declaration.npu, **few, post_units=(2,), weight_digit_bits=(2,), multiplier=("lut",)
    )
    space = SearchSpace(dataclasses.replace(declaration, npu=npu), (3, 32, 32), 10)
    problem = Problem(space, synthetic.model(), Budget(luts=30_000))
    every = with_all_npus(problem, space.canonical(space.sizes[None] - 1)[0])
    npus, chosen = every.estimate.npu, every.candidates
    assert len(chosen) == len(np.unique(chosen, axis=0)) == 2 * (1 + 3 * 2)
    ports, depths = (space.integers(chosen, name) for name in (PORT, WEIGHT_DEPTH))
    assert (npus.memory_port_bits == ports).all()
    fetches = npus.weight_depth < npus.weight_depth[ports == 0].min()
    assert fetches.any()
    assert (ports[fetches] > 0).all()
    brams, cycles = every.estimate.area.brams, every.estimate.cycles
    assert brams[fetches].max() < brams[ports == 0].min()
    assert cycles[fetches].min() > cycles[ports == 0].min(), "each FETCH is an instruction"
    deep, shallow = depths == 1024, (ports > 0) & (depths == 256)
    assert (npus.weight_depth[deep] >= npus.weight_depth[shallow]).all()
    plain = SearchSpace(load_declaration("images"), (3, 32, 32), 10).declared()["npu"]
    assert not {PORT, WEIGHT_DEPTH} & set(plain), "searches of before go on"
    assert {PORT, WEIGHT_DEPTH} <= set(space.declared()["npu"])
