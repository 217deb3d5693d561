"""A count is that of the Verilog alone, whatever was synthesised before."""

from __future__ import annotations

import sys

import pytest

from codesign.fpga import synthesis, verilog_text, yosys
from rtl_gen import emit
from rtl_gen.config import NpuConfig

LEAF = """\
// leaf, not top
module leaf(input clk, input [5:0] a, input [5:0] b, output reg [5:0] y);
  always @(posedge clk) y <= a + b;
endmodule
"""
RAM = """\
module ram #(parameter WIDTH = 1) (input clk, input we, input [4:0] at, input [WIDTH-1:0] d,
           output [WIDTH-1:0] q);
  reg [WIDTH-1:0] mem [0:31];
  always @(posedge clk) if (we) mem[at] <= d;
  assign q = mem[at];
endmodule
"""
PAIR = """\
module pair(input clk, input we, input [5:0] a, input [5:0] b, output [5:0] y);
  wire [5:0] t, u; /* the
  leaf twice */
  leaf first(.clk(clk), .a(a), .b(b), .y(t));
  leaf second(.clk(clk), .a(t), .b(b), .y(u));
  ram #(.WIDTH(6)) store(.clk(clk), .we(we), .at(a[4:0]), .d(u), .q(y));
endmodule
"""
TOP = """\
module npu(input clk, input we, input [5:0] a, input [5:0] b, output [5:0] y, output [8:0] z);
  wire [5:0] t;
  pair p(.clk(clk), .we(we), .a(a), .b(b), .y(t));
  leaf l(.clk(clk), .a(t), .b(a), .y(y));
  ram #(.WIDTH(9)) store(.clk(clk), .we(we), .at(b[4:0]), .d({a, 3'b101}), .q(z));
endmodule
"""
CROWDED = """\
import json, re
cells = {"npu": {"pair": 1, "leaf": 1}, "pair": {"leaf": 2, "ram": 1}, "leaf": {}, "ram": {}}
boxes = re.findall("^blackbox (.*)", open("script.ys").read(), re.MULTILINE)
mapped = cells.keys() - " ".join(boxes).split()
stat = {name: {"num_cells_by_type": {**cells[name], "LUT2": len(mapped)}} for name in mapped}
json.dump({"modules": stat}, open("stat.json", "w"))
"""
"""A stand-in for Yosys: a module takes the more LUTs, the more modules the run maps."""
DESIGN = {"leaf.v": LEAF, "ram.v": RAM, "pair.v": PAIR, "npu.v": TOP}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))


def test_designs_of_before_change_no_count(monkeypatch):
    """Yosys maps a module a LUT larger or smaller, by what else it maps in the same run."""
    crowded = yosys.Yosys((sys.executable, "-c", CROWDED), "crowded 1")
    monkeypatch.setattr(yosys, "find", lambda: crowded)
    other = {**DESIGN, "npu.v": TOP.replace(".a(t), .b(a)", ".a(b), .b(t)")}
    fresh = synthesis.synthesise(other, cache=False)
    assert fresh.by_module["leaf"].each.luts == 4
    synthesis.synthesise(DESIGN)
    found = synthesis.synthesise(other)
    assert (found.figures, found.by_module) == (fresh.figures, fresh.by_module)


def test_verilog_that_reads_other_files_is_not_kept(tmp_path):
    words = tmp_path / "words.hex"
    rom = f"""\
module npu(input [1:0] at, output [5:0] y);
  reg [5:0] mem [0:3];
  initial $readmemh("{words}", mem);
  assign y = mem[at];
endmodule
"""
    counts = []
    for values in ("0 0 0 0", "1 2 4 9"):
        words.write_text(values)
        counts.append(synthesis.synthesise({"npu.v": rom}).figures.luts)
    assert counts[0] < counts[1]
    assert not list((tmp_path / "cache").rglob("*"))


def test_a_comment_sign_in_a_string_begins_no_comment():
    text = 'assign y = a + "//p"; /* b */ // c'
    assert verilog_text.code(text) == 'assign y = a + "//p";  '


def test_yosys_reads_the_npu_without_a_warning():
    verilog = emit.verilog(NpuConfig(lanes=4, columns=4, pixels=1, post_units=1))
    read = f"read_verilog {' '.join(verilog)}\nhierarchy -check -top npu\nproc\ncheck -assert\n"
    run = yosys.find().run(f"{read}tee -q -o out.json stat -json\n", verilog, "out.json", 120)
    assert run.warnings == ()
