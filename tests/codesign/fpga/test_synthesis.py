"""Synthesis counts cells per module and resource, caches results, and names every failure."""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time

import pytest

from codesign.fpga import families, synthesis, yosys
from codesign.results import UserError

LEAF = """\
module leaf(input clk, input [3:0] a, input [3:0] b, output reg [3:0] y);
  always @(posedge clk) y <= a + b;
endmodule
"""
PAIR = """\
module pair(input clk, input [3:0] a, input [3:0] b, output [3:0] y);
  wire [3:0] t;
  leaf first(.clk(clk), .a(a), .b(b), .y(t));
  leaf second(.clk(clk), .a(t), .b(b), .y(y));
endmodule
"""
TOP = """\
module npu(input aclk, input [3:0] a, input [5:0] at, input we, output [3:0] y, output [7:0] r);
  wire [3:0] t;
  pair p(.clk(aclk), .a(a), .b(a), .y(t));
  leaf l(.clk(aclk), .a(t), .b(a), .y(y));
  reg [7:0] mem [0:63];
  always @(posedge aclk) if (we) mem[at] <= {a, a};
  assign r = mem[at];
endmodule
"""
DESIGN = {"leaf.v": LEAF, "pair.v": PAIR, "npu.v": TOP}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))


def fake(monkeypatch, program: str) -> None:
    """Put a Python program in the place of Yosys."""
    tool = yosys.Yosys((sys.executable, "-c", program), "fake 1")
    monkeypatch.setattr(yosys, "find", lambda: tool)


def test_each_module_is_counted_as_often_as_it_is_instantiated(monkeypatch):
    result = synthesis.synthesise(DESIGN)
    assert {name: use.instances for name, use in result.by_module.items()} == {
        "npu": 1,
        "pair": 1,
        "leaf": 3,
    }
    leaf, top = result.by_module["leaf"].each, result.by_module["npu"].each
    assert (leaf.luts, leaf.ffs) == (4, 4)
    assert top.lutrams == result.figures.lutrams
    assert result.figures.lutrams >= 8
    assert result.figures.luts == 3 * leaf.luts + top.luts
    assert result.figures.ffs == 12
    assert (result.figures.brams, result.figures.dsps) == (0, 0)
    assert result.warnings == ()

    def gone() -> None:
        raise AssertionError("the cached result was not used")

    monkeypatch.setattr(yosys.Yosys, "run", gone)
    assert synthesis.synthesise(DESIGN) == result


def test_an_unknown_top_is_refused():
    with pytest.raises(yosys.YosysError, match="pare"):
        synthesis.synthesise(DESIGN, "pare")


def test_dsps_are_taken_only_where_allowed():
    multiplier = {
        "m.v": "module npu(input [15:0] a, input [15:0] b, output [31:0] y);\n"
        "  assign y = a * b;\nendmodule\n"
    }
    assert synthesis.synthesise(multiplier, dsps=True).figures.dsps == 1
    without = synthesis.synthesise(multiplier)
    assert without.figures.dsps == 0
    assert without.figures.luts > 200
    lattice = synthesis.synthesise(multiplier, dsps=True, family="ecp5")
    assert lattice.figures.dsps == 1
    assert lattice.family == "ecp5"


def test_bad_verilog_is_named():
    with pytest.raises(yosys.YosysError, match=r"broken.v:1: ERROR"):
        synthesis.synthesise({"broken.v": "module npu(input a; endmodule\n"})


def test_a_run_that_takes_too_long_is_killed(monkeypatch):
    fake(monkeypatch, "import time; time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(yosys.YosysError, match=r"took more than 0.3 s"):
        synthesis.synthesise(DESIGN, timeout_s=0.3)
    assert time.monotonic() - start < 10


def test_a_crash_is_an_error_and_is_not_cached(monkeypatch):
    fake(monkeypatch, "import os; print('so far', flush=True); os.abort()")
    with pytest.raises(yosys.YosysError, match=r"status 134; its log ends:\nso far"):
        synthesis.synthesise(DESIGN)
    fake(monkeypatch, "pass")
    with pytest.raises(yosys.YosysError, match=r"wrote no stat.json"):
        synthesis.synthesise(DESIGN)


def test_a_failure_leaves_no_temporary_files(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fake(monkeypatch, "import tempfile; tempfile.mkdtemp(prefix='yosys-abc-'); raise SystemExit(1)")
    with pytest.raises(yosys.YosysError, match="status 1"):
        synthesis.synthesise(DESIGN)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_unknown_cells_are_not_overlooked():
    with pytest.raises(yosys.YosysError, match="unknown cells: RAM512X1S"):
        families.XC7.figures({"LUT6": 3, "RAM512X1S": 1})


@pytest.mark.parametrize(
    "cells, luts, lutrams, brams",
    [
        ({"LUT1": 1, "LUT6": 2, "INV": 5, "MUXF7": 4, "CARRY4": 3}, 3, 0, 0),
        ({"RAM32M": 2, "RAM64M": 1, "SRL16E": 3, "SRLC32E": 1}, 16, 16, 0),
        ({"RAMB18E1": 3, "RAMB36E1": 1, "LUT2": 1}, 1, 0, 2.5),
    ],
)
def test_cells_are_counted_in_luts_lutrams_and_block_rams(cells, luts, lutrams, brams):
    figures = families.XC7.figures(cells)
    assert (figures.luts, figures.lutrams, figures.brams) == (luts, lutrams, brams)


def test_an_unknown_family_is_refused():
    with pytest.raises(UserError, match="family must be one of xc7, ecp5, not 'virtex'"):
        synthesis.synthesise(DESIGN, family="virtex")


def test_a_missing_yosys_is_named_with_its_cure(monkeypatch):
    yosys.find.cache_clear()
    monkeypatch.setattr(yosys.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="pip install pyosys"):
        yosys.find()
    yosys.find.cache_clear()


@pytest.mark.parametrize(
    "banner, found", [("Yosys 0.23 (git)", None), ("Yosys 0.41+10", "yosys 0.41+10")]
)
def test_a_system_yosys_that_is_too_old_is_passed_over(tmp_path, monkeypatch, banner, found):
    program = tmp_path / "yosys"
    program.write_text(f"#!/bin/sh\necho '{banner}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tool = yosys._system()
    assert (tool and tool.version) == found


def test_a_cache_that_cannot_be_written_or_read_is_no_cache(monkeypatch, tmp_path):
    stat = '{"modules": {"\\\\npu": {"num_cells_by_type": {"LUT2": 7}}}}'
    fake(monkeypatch, f"open('stat.json', 'w').write({stat!r})")
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("CODESIGN_CACHE", str(blocked))
    assert synthesis.synthesise(DESIGN).figures.luts == 7
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "good"))
    assert synthesis.synthesise(DESIGN).figures.luts == 7
    for entry in (tmp_path / "good" / "synth").iterdir():
        entry.write_text("{half")
    assert synthesis.synthesise(DESIGN).figures.luts == 7


def test_flattening_dissolves_all_modules_but_those_to_be_kept() -> None:
    kept = {**DESIGN, "leaf.v": '(* keep_hierarchy = "yes" *)\n' + LEAF}
    flat = synthesis.synthesise(kept, flatten=True)
    assert {name: use.instances for name, use in flat.by_module.items()} == {"npu": 1, "leaf": 3}
    assert synthesis.synthesise(DESIGN, flatten=True).by_module.keys() == {"npu"}
    whole = synthesis.synthesise(kept)
    assert whole.flattened is None
    assert (flat.figures.ffs, flat.figures.lutrams) == (whole.figures.ffs, whole.figures.lutrams)


def test_beside_the_flattened_design_luts_are_the_larger_count() -> None:
    whole = synthesis.synthesise(DESIGN)
    for luts in (1.0, 1000.0):
        figures = dataclasses.replace(whole.figures, luts=luts)
        both = whole.beside(dataclasses.replace(whole, figures=figures))
        assert both.figures.luts == max(luts, whole.figures.luts or 0)
        assert both.figures.ffs == whole.figures.ffs
        assert synthesis.to_dict(both)["flattened"]["luts"] == luts
