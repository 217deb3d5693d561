"""The area model is as good on the shipped data as docs/measurements/cost-models.md reports.

Errors on unseen NPUs, intervals and bounds that hold, counts of each option as synthesised,
estimates that never fall when the NPU grows, and NPUs outside the data.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from importlib.resources import files

import numpy as np
import pytest
from amaranth.back import verilog

from benchmarks.density import POINTS
from codesign.cost.area import dsps, evaluation, memories, model_file
from codesign.cost.area.blocks import memory_counts
from codesign.cost.area.blocks.dot_products import DOTS
from codesign.cost.area.composed import analytic
from codesign.cost.area.model import FAMILY_RATIOS, AreaModel, families_of
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.data import dataset, module_data
from codesign.cost.data.config_csv import short_hash
from codesign.cost.estimate import estimate
from codesign.cost.regressors import FEWEST_ROWS
from codesign.cost.table import ConfigTable
from codesign.cost.timing import TimingModel
from codesign.fpga import synthesis, yosys
from codesign.fpga.families import FAMILIES
from codesign.results import UserError
from models.graph.layers import Linear
from models.graph.network import sequential
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.blocks.dot_product import DotProductSpec
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES
from tests.codesign.cost.synthetic import estimate_one

ROWS = dataset.read()
TABLE = ConfigTable.of([row.config for row in ROWS])


@pytest.fixture(scope="module")
def model() -> AreaModel:
    return model_file.load()


def measured(resource: str) -> np.ndarray:
    return np.array([getattr(row, resource) for row in ROWS])


def test_the_data_comes_from_one_tool_and_is_of_whole_npus() -> None:
    assert len({row.tool for row in ROWS}) == 1
    for row in ROWS:
        assert row.lutrams < row.luts
        assert 900 < row.luts < 70_000
        assert row.ffs > 900


@pytest.mark.parametrize(("resource", "error"), [("luts", 0.01), ("ffs", 0.01), ("lutrams", 0.03)])
def test_the_analytic_counts_alone_are_close(resource: str, error: float) -> None:
    assert np.median(np.abs(analytic(TABLE, resource) / measured(resource) - 1)) < error


@pytest.mark.parametrize(
    ("resource", "error"), [("luts", 0.006), ("ffs", 0.004), ("lutrams", 0.01)]
)
def test_errors_on_unseen_families_stay_small(resource: str, error: float) -> None:
    modules = module_data.read(module_data.beside())
    errors = evaluation.cross_errors(ROWS, modules, resource, seed=1)
    assert errors["mape"] < error
    assert errors["tau"] > 0.99


def test_block_rams_and_dsp_slices_are_counted_exactly() -> None:
    assert np.mean(memory_counts(TABLE).brams == measured("brams")) >= 0.98
    assert (dsps.dsp_count(TABLE) == measured("dsps")).all()


def test_intervals_hold_what_was_measured(model: AreaModel) -> None:
    found = model.estimate(TABLE)
    for name in ("luts", "ffs", "lutrams"):
        inside = (found.low[name] <= measured(name)) & (measured(name) <= found.high[name])
        assert inside.mean() >= 0.88, name


def test_more_confidence_is_a_higher_bound(model: AreaModel) -> None:
    loose, tight = (model.estimate(TABLE, confidence).bound["luts"] for confidence in (0.5, 0.95))
    assert (tight > loose).all()
    share = np.mean(measured("luts") <= tight)
    assert share >= 0.93


def test_more_of_anything_never_costs_less(model: AreaModel) -> None:
    base = [row.config for row in ROWS if row.luts < 12_000 and row.config.multiplier == "lut"]
    for knob, limit in (("pixels", 16), ("columns", 128), ("accumulator_bits", 32)):
        small = [config for config in base if 2 * getattr(config, knob) <= limit]
        large = [dataclasses.replace(c, **{knob: 2 * getattr(c, knob)}) for c in small]
        before, after = (model.estimate(ConfigTable.of(some)) for some in (small, large))
        for name in ("luts", "ffs", "brams"):
            assert (getattr(after, name) >= getattr(before, name)).all(), (knob, name)


def test_the_shared_hardware_of_two_sizes_is_estimated_apart() -> None:
    small = NpuConfig(pixels=2, lanes=8, columns=16, weight_digit_bits=2)
    large = NpuConfig(pixels=4, lanes=8, columns=32, weight_digit_bits=2)
    luts = [float(estimate_one(config).luts[0]) for config in (small, large)]
    # Four times the cells, the same control.
    assert 2.0 < luts[1] / luts[0] < 4.0


def test_dot_products_take_the_luts_of_their_structure() -> None:
    """The count is exact: another order of operands would double the LUTs of a carry chain."""
    rows = [row.config for row in ROWS if row.config.multiplier == "lut"]
    modules = module_data.read(module_data.beside())
    found = {m.config_hash: m.luts for m in modules if m.module.startswith("npu_dot")}
    sizes = DOTS.sizes(ConfigTable.of(rows))
    counted = sum(sizes[name] for name in ("chains", "trees", "combine", "sign_delays"))
    for config, luts in zip(rows, counted, strict=True):
        if config.slots > 1 or config.activation_bits > 1:
            assert luts == found[short_hash(config)], config


@pytest.mark.parametrize(
    ("lanes", "activation_bits", "digit_bits", "luts"),
    [(16, 4, 4, 212), (8, 4, 1, 20), (3, 4, 1, 9), (7, 1, 1, 7)],
)
def test_dot_products_still_synthesise_to_that_many_luts(
    lanes: int, activation_bits: int, digit_bits: int, luts: int
) -> None:
    block = DotProductSpec(lanes, activation_bits, digit_bits).create()
    text = verilog.convert(block, name="npu", emit_src=False)
    assert synthesis.synthesise({"npu.v": text}).figures.luts == luts


@pytest.mark.parametrize(
    ("sparsity", "luts", "ffs", "brams"),
    [("2:4", 8359, 11059, 17.0), ("1:4", 6218, 8104, 11.0), ("4:8", 9391, 11255, 19.0)],
)
def test_sparse_npus_are_estimated(
    model: AreaModel, sparsity: str, luts: int, ffs: int, brams: float
) -> None:
    """The measured values are points of benchmarks.density (pyosys 0.70)."""
    config = POINTS[f"4x4-{sparsity}"]
    found = estimate_one(config)
    assert found.luts[0] == pytest.approx(luts, rel=0.02)
    assert found.ffs[0] == pytest.approx(ffs, rel=0.01)
    assert found.brams[0] == brams
    assert model.outside(config) is None


def test_data_of_one_kind_of_dot_product_is_refused() -> None:
    family = families_of(TABLE)
    largest = np.bincount(family).argmax()
    alike = [row for row, one in zip(ROWS, family, strict=True) if one == largest]
    with pytest.raises(UserError, match="needs two kinds of dot products at least"):
        AreaModel.fit(alike * (FEWEST_ROWS // len(alike) + 1))


def test_parameters_outside_the_data_are_named_and_widen_the_interval(model: AreaModel) -> None:
    inside = NpuConfig(pixels=4, lanes=8, columns=16)
    outside = dataclasses.replace(inside, accumulator_bits=32, activation_depth=32768)
    told = model.outside(outside) or ""
    assert "accumulator_bits 32 (has 10..26)" in told
    assert "activation_depth 32768 (has 16..8192)" in told
    assert model.outside(inside) is None
    found = model.estimate(ConfigTable.of([inside, outside]))
    width = np.log(found.high["luts"] / found.low["luts"])
    assert width[1] > 5 * width[0]


def test_sparse_dsps_are_those_of_the_slots() -> None:
    config = NpuConfig(activation_bits=8, weight_digit_bits=8, multiplier="dsp", sparsity="1:4")
    assert estimate_one(config).dsps[0] == config.hardware_products == config.macs // 4


def test_column_reuse_is_counted(model: AreaModel) -> None:
    """The measured differences are those of benchmarks.density with and without (pyosys 0.70)."""
    for point, luts, lutrams, ffs in (("3x4x4", 268, 79, 337), ("2x8x8", 309, 95, 421)):
        with_it, without = (
            model.estimate(ConfigTable.of([POINTS[name]])) for name in (f"{point}-reuse", point)
        )
        # A hundredth of the NPU, which is what its estimate is good for.
        assert with_it.luts[0] - without.luts[0] == pytest.approx(luts, abs=0.01 * without.luts[0])
        assert with_it.lutrams[0] - without.lutrams[0] == pytest.approx(lutrams, rel=0.05)
        assert with_it.ffs[0] - without.ffs[0] == pytest.approx(ffs, rel=0.05)


def test_a_memory_port_is_counted(model: AreaModel) -> None:
    """The measured differences are those of synthesis with and without the port (pyosys 0.70)."""
    for point, bits, luts, ffs in (
        ("smallest", 32, 143, 140), ("smallest", 128, 170, 232),
        ("4x4", 32, 202, 174), ("4x4", 128, 279, 242),
    ):  # fmt: skip
        configs = [dataclasses.replace(POINTS[point], memory_port_bits=b) for b in (bits, 0)]
        with_it, without = (model.estimate(ConfigTable.of([config])) for config in configs)
        assert with_it.luts[0] - without.luts[0] == pytest.approx(luts, abs=50)
        assert with_it.ffs[0] - without.ffs[0] == pytest.approx(ffs, abs=30)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lanes, columns, post_units", [(2, 2, 1), (64, 128, 64), (64, 64, 1)])
def test_npus_far_outside_the_data_get_a_note_and_finite_intervals(
    model: AreaModel, lanes: int, columns: int, post_units: int
) -> None:
    deepest = {name: high for name, (_, high) in DEPTH_RANGES.items()}
    far = NpuConfig(
        pixels=16, lanes=lanes, columns=columns, post_units=post_units, accumulator_bits=32,
        scale_bits=16, memory_port_bits=128, memory_tiles=True, **deepest,
    )  # fmt: skip
    told = model.outside(far) or ""
    assert all(f"{name} {deepest[name]} (has " in told for name in deepest)
    for confidence in (0.1, 0.6, 0.99):
        found = model.estimate(ConfigTable.of([far]), confidence)
        for name in found.low:
            middle, low, high = getattr(found, name), found.low[name], found.high[name]
            assert np.allclose([low / middle, high / middle], [[0.1], [10]])
            assert 0.0999 < found.bound[name] / middle < 10.001
    assert np.isfinite(TimingModel.load().estimate(ConfigTable.of([far])).high).all()


@pytest.mark.parametrize("width, depth", [(32, 1536), (32, 2560), (16, 3072), (7, 1536)])
def test_stacks_of_block_rams_take_what_synthesis_finds(width: int, depth: int) -> None:
    text = (files("rtl_gen") / "verilog" / "npu_ram.v").read_text()
    bits = (depth - 1).bit_length()
    parameters = f"-set WIDTH {width} -set DEPTH {depth} -set ADDRESS_BITS {bits}"
    script = (
        f"read_verilog ram.v\nchparam {parameters} npu_ram\n"
        "synth_xilinx -top npu_ram -noiopad -noclkbuf\ntee -q -o out.json stat -json\n"
    )
    run = yosys.find().run(script, {"ram.v": text}, "out.json", 300.0)
    (module,) = json.loads(run.result)["modules"].values()
    cells = module["num_cells_by_type"]
    found = memories.automatic(np.array([width]), np.array([depth]))
    assert found.brams == cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0) / 2
    assert found.luts == sum(count for cell, count in cells.items() if cell.startswith("LUT"))
    assert found.ffs == sum(count for cell, count in cells.items() if cell.startswith("FD"))


def test_a_block_ram_budget_stacks_the_weight_memory(model: AreaModel) -> None:
    """The auto-encoder of MLPerf Tiny (1,032 words of 2,048 bits) takes 96 block RAMs, not 128."""
    lanes = columns = 16
    npu = ConfigTable.of([NpuConfig(
        pixels=1, lanes=lanes, columns=columns, weight_digit_bits=8, activation_bits=8
    )])  # fmt: skip
    sizes = (640, *4 * [128], 8, *4 * [128], 640)
    graph = sequential("auto_encoder", (640, 1, 1), *(Linear(n) for n in sizes[1:]))
    layers = LayerTable.of([shape_only(graph, Quantisation(8, QuantSpec(8, 8)), 8)])
    plain, stacked = (estimate(model, layers, npu, 100.0, brams=brams) for brams in (None, 100.0))
    assert plain.words.weight_depth[0] == sum(
        -(-a // lanes) * -(-b // columns) for a, b in itertools.pairwise(sizes)
    )
    assert (plain.npu.weight_depth, stacked.npu.weight_depth) == (2048, 1536)
    assert (plain.area.brams - stacked.area.brams) == 32
    assert stacked.area.luts > plain.area.luts
    enough = estimate(model, layers, npu, 100.0, brams=float(plain.area.brams[0]))
    assert enough.npu.weight_depth == 2048


def test_tiles_are_counted_and_said_to_be_outside_the_data(model: AreaModel) -> None:
    """The measured differences are those of synthesis with and without tiles (pyosys 0.70)."""
    for point, bits, luts, ffs in (("smallest", 32, 285, 288), ("4x4", 64, 353, 328)):
        port = dataclasses.replace(POINTS[point], memory_port_bits=bits)
        tiled = dataclasses.replace(port, memory_tiles=True)
        with_it, without = (model.estimate(ConfigTable.of([c])) for c in (tiled, port))
        assert with_it.luts[0] - without.luts[0] == pytest.approx(luts, abs=15)
        assert with_it.ffs[0] - without.ffs[0] == pytest.approx(ffs, abs=15)
        assert "memory_tiles 1 (has 0)" in (model.outside(tiled) or "")


def test_every_family_has_ratios() -> None:
    assert set(FAMILY_RATIOS) == set(FAMILIES)


def test_another_family_has_its_own_counts_and_wider_intervals(model: AreaModel) -> None:
    """This NPU takes 17,095 LUT sites of an ECP5 (pyosys 0.70)."""
    config = next(
        row.config
        for row in ROWS
        if (row.config.pixels, row.config.lanes, row.config.activation_bits) == (8, 6, 1)
    )
    table = ConfigTable.of([config])
    reference, other = model.estimate(table), model.estimate(table).on("ecp5")
    assert other.luts[0] == pytest.approx(17095, rel=0.1)
    assert other.low["luts"][0] < 17095 < other.high["luts"][0]
    width = [e.high["luts"][0] / e.low["luts"][0] for e in (reference, other)]
    assert width[1] > width[0]
    assert reference.on("xc7") is reference
    assert (other.brams == reference.brams).all()
