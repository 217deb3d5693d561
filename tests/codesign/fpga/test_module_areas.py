"""Synthesis that reuses the areas of known modules counts what synthesis from scratch counts.

Also which changes of a source make a module unknown.
"""

from __future__ import annotations

import pytest

from codesign.fpga import synthesis, yosys
from codesign.fpga.module_areas import Hierarchy, SynthesisPlan
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
DESIGN = {"leaf.v": LEAF, "ram.v": RAM, "pair.v": PAIR, "npu.v": TOP}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))


def plan(verilog) -> SynthesisPlan:
    return SynthesisPlan.of(Hierarchy.of(verilog, "flow"), "npu")


def test_another_design_reuses_what_it_shares():
    first = synthesis.synthesise(DESIGN)
    other = {**DESIGN, "npu.v": TOP.replace(".a(t), .b(a)", ".a(b), .b(t)")}
    context = f"{yosys.find().version} {synthesis.families.XC7.command} False"
    planned = SynthesisPlan.of(Hierarchy.of(other, context), "npu")
    assert set(planned.missing) == {"npu", "ram"}  # ram stands there with parameters only
    assert planned.boxes == ("leaf", "pair")
    reused = synthesis.synthesise(other)
    scratch = synthesis.synthesise(other, cache=False)
    assert reused.by_module == scratch.by_module
    assert reused.cells == scratch.cells
    assert reused.figures == scratch.figures
    assert reused.figures.ffs == first.figures.ffs == 18
    assert reused.figures.lutrams > 0


def test_a_change_in_a_module_makes_every_module_above_it_unknown():
    before, after = plan(DESIGN), plan({**DESIGN, "leaf.v": LEAF.replace("+", "-")})
    keys = (before.hierarchy.keys, after.hierarchy.keys)
    changed = {name for name in keys[0] if keys[0][name] != keys[1][name]}
    assert changed == {"leaf", "pair", "npu"}
    commented = plan({**DESIGN, "leaf.v": LEAF.replace("// leaf, not top", "// words")})
    # Synthesis obeys some comments.
    assert commented.hierarchy.keys["npu"] != before.hierarchy.keys["npu"]
    assert before.hierarchy.children["pair"] == ("leaf", "ram")


def test_files_with_other_modules_are_left_alone():
    assert Hierarchy.of({"npu.v": LEAF + TOP.replace("leaf", "l2")}, "flow") is None
    assert Hierarchy.of({"chip.v": LEAF}, "flow") is None


def test_a_broken_cache_is_no_cache(tmp_path):
    stored = SynthesisPlan.of(Hierarchy.of({"npu.v": LEAF.replace("leaf(", "npu(")}, "flow"), "npu")
    stored.keep({"npu": {"LUT6": 4}})
    again = SynthesisPlan.of(stored.hierarchy, "npu")
    assert (again.known, again.missing) == ({"npu": {"LUT6": 4}}, ())
    for entry in (tmp_path / "cache" / "modules").iterdir():
        entry.write_text("{half")
    assert SynthesisPlan.of(stored.hierarchy, "npu").missing == ("npu",)


def test_yosys_reads_the_npu_without_a_warning():
    verilog = emit.verilog(NpuConfig(lanes=4, columns=4, pixels=1, post_units=1))
    assert Hierarchy.of(verilog, "flow") is not None
    read = f"read_verilog {' '.join(verilog)}\nhierarchy -check -top npu\nproc\ncheck -assert\n"
    run = yosys.find().run(f"{read}tee -q -o out.json stat -json\n", verilog, "out.json", 120)
    assert run.warnings == ()
