"""benchmarks.peers: stored figures of NNgen are complete, ratios right, bad input refused.

Nothing is synthesised or simulated here, as ``python -m benchmarks.peers`` itself does.
"""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.networks.zoo import NETWORKS
from benchmarks.peers import __main__ as peers
from benchmarks.peers import nngen_figures
from codesign.compiler import plan, worst_accumulator_bits
from codesign.results import UserError
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from sim.simulator import SimulationError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.peers", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def row(luts: float, cycles: int) -> peers.Row:
    return peers.Row(
        design="design", network="cnn_a", bits=8, products=36, luts=luts, ffs=None, brams=None,
        cycles_per_image=cycles, tools="tools", date=None,
    )  # fmt: skip


def test_stored_figures_are_complete_and_say_where_they_come_from() -> None:
    points = nngen_figures.read()
    assert len({(point.name, point.date) for point in points}) == len(points)
    for point in points:
        assert point.multipliers == 9 * point.par_ich * point.par_och
        assert point.axi_bits in (32, 64, 128)
        assert point.source
        assert "Yosys" in point.tools or "yosys" in point.tools
        if point.date is None:
            assert "founders" in point.source
        else:
            assert datetime.date.fromisoformat(point.date) <= datetime.date.today()
            assert "nngen" in point.tools
            assert "Verilator" in point.tools
    for network in peers.PEERS:
        assert len(peers.stored(network)) >= 2


def test_storing_replaces_our_own_figure_of_the_same_accelerator(tmp_path: Path) -> None:
    path = tmp_path / "nngen.json"
    path.write_text(nngen_figures.DATA.read_text())
    before = nngen_figures.read(path)
    new = dataclasses.replace(before[0], axi_bits=64, date="2026-11-24")
    nngen_figures.store(new, path)
    newer = dataclasses.replace(new, luts=1.0, date="2026-11-25")
    nngen_figures.store(newer, path)
    assert set(nngen_figures.read(path)) == {*before, newer}
    given = dataclasses.replace(newer, date=None)
    nngen_figures.store(given, path)
    assert set(nngen_figures.read(path)) == {*before, newer, given}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"points": [{}]}',
        '{"points": [{"network": "cnn_a", "speed": 3}]}',
        nngen_figures.DATA.read_text().replace("cnn_b", "alexnet"),
    ],
)
def test_a_bad_data_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nngen.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"nngen\.json"):
        nngen_figures.read(path)


def test_ratios_are_to_the_best_peer() -> None:
    # By hand: 100 MHz / 39,114 cycles / 26.766 kLUT = 95.52; 100 MHz / 30,498 / 52.305 = 62.69.
    theirs = [row(26766, 39114), row(52305, 30498)]
    mine = row(6269, 8490)
    shown = peers.with_ratios([*theirs, mine], theirs)
    assert [r["images_per_second_per_kluts"] for r in shown] == [95.52, 62.69, 1878.86]
    assert [r["ratio_to_best_nngen"] for r in shown] == [1.0, 0.66, 19.67]
    assert shown[2]["images_per_second"] == pytest.approx(1e8 / 8490, abs=0.1)
    with pytest.raises(UserError, match="--fresh"):
        peers.with_ratios([mine], [])


@pytest.mark.parametrize("name", peers.POINTS)
def test_our_npus_run_their_network_in_one_pass_whatever_the_weights(name: str) -> None:
    point = peers.POINTS[name]
    quantisation = Quantisation(point.bits, QuantSpec(point.bits, point.bits))
    network = shape_only(NETWORKS[point.network](), quantisation, point.npu.scale_bits)
    assert plan(network, point.npu).cycles > 0
    assert point.npu.accumulator_bits == worst_accumulator_bits(network)
    assert point.npu.passes(point.bits) == 1
    assert point.npu.multiplier == "lut"


def test_nngen_gets_the_same_networks() -> None:
    assert nngen_figures.layers("cnn_a") == [
        ["conv", 8], ["pool", 2], ["conv", 16], ["pool", 2], ["linear", 64, True],
        ["linear", 10, False],
    ]  # fmt: skip
    assert [size for op, size, *_ in nngen_figures.layers("cnn_b") if op == "conv"] == [
        32,
        32,
        64,
        64,
    ]
    with pytest.raises(UserError, match="does not know"):
        nngen_figures.layers("resnet8")


def test_a_test_bench_with_wrong_logits_gives_no_cycles() -> None:
    assert (
        nngen_figures.cycles_of("cycles       39025\nright   5   5\n- bench.v:1: $finish\n")
        == 39025
    )
    for log in ("", "cycles 3\n", "cycles 3\nright 5 5\nWRONG 4 5\n", "right 5 5\n"):
        with pytest.raises(SimulationError, match="did not pass"):
            nngen_figures.cycles_of(log)


@pytest.mark.parametrize("python", [sys.executable, "/nowhere/python"])
def test_without_nngen_it_says_what_to_install(python: str) -> None:
    done = run("--fresh", "--nngen-python", python)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert python in done.stderr
    assert f"pip install {' '.join(nngen_figures.PACKAGES)}" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_names_are_refused() -> None:
    done = run("alexnet")
    assert done.returncode == 2
    assert "not alexnet" in done.stderr
    done = run("cnn_a", "--fresh", "--points", "cnn_b-2x2-axi32")
    assert done.returncode == 2
    assert "no point cnn_b-2x2-axi32; there are cnn_a-2x2-axi32" in done.stderr
    done = run("cnn_a", "--points", "cnn_a-2x2-axi32")
    assert done.returncode == 2
    assert "--fresh" in done.stderr


def test_no_script_here_hides_a_module_that_nngen_needs() -> None:
    """The folder of nngen_cnn.py comes first on the path of NNgen's interpreter."""
    folder = Path(peers.__file__).parent
    hidden = {"nngen", "veriloggen", "pyverilog", "numpy", "onnx", "json"}
    assert not hidden & {path.stem for path in folder.glob("*.py")}
