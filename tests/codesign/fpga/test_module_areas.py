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


HIDDEN = """\
module leaf(input clk, input [5:0] a, input [5:0] b, output reg [5:0] y);
  always @(posedge clk) y <= a
  // synopsys translate_off
    + b
  // synopsys translate_on
    ;
endmodule
"""
COUNT = "module leaf(input [5:0] a, output [5:0] y);\n  assign y = (a * a) & WIDE;\nendmodule\n"
ABOVE = "module npu(input [5:0] a, output [5:0] y);\n  leaf l(.a(a), .y(y));\n%s\nendmodule\n"
FIRST = "module alpha(input a, output y);\n  assign y = a;\nendmodule\n"
"""A module of a file that is read before leaf.v."""


def elsewhere(before: str) -> dict[str, str]:
    """A design whose leaf takes WIDE from outside of its own file."""
    use = "  wire t;\n  alpha first(.a(a[0]), .y(t));"
    leaf = COUNT.replace("WIDE", "`WIDE") if "`" in before else COUNT
    return {"alpha.v": before + FIRST, "leaf.v": leaf, "npu.v": ABOVE % use}


@pytest.mark.parametrize(
    ("hostile", "honest"),
    [
        ({**DESIGN, "leaf.v": HIDDEN}, {**DESIGN, "leaf.v": HIDDEN.replace("synopsys", "words")}),
        (elsewhere("`define WIDE 0\n"), elsewhere("`define WIDE 61\n")),
        (elsewhere("localparam WIDE = 0;\n"), elsewhere("localparam WIDE = 61;\n")),
    ],
    ids=["translate_off", "a macro of another file", "a parameter outside of modules"],
)
def test_a_run_on_a_hostile_folder_changes_no_other_count(hostile, honest):
    """What an entry was made from is in its key, so that a later design finds its own or none."""
    scratch = synthesis.synthesise(honest, cache=False)
    poisoned = synthesis.synthesise(hostile)
    assert poisoned.figures.luts < scratch.figures.luts
    found = synthesis.synthesise(honest)
    assert (found.figures, found.by_module) == (scratch.figures, scratch.by_module)


@pytest.mark.parametrize(
    "leaf",
    [
        "`default_nettype none\n" + LEAF,
        "localparam WIDE = 3;\n" + LEAF,
        LEAF + "function [7:0] f(input [7:0] q); f = q + 3; endfunction\n",
        LEAF.replace("endmodule", "endmodule module ram(input a); endmodule"),
        LEAF.replace("a + b", 'a + "//`W" + `W'),
        "macro" + LEAF.partition("\n")[2],
    ],
)
def test_a_file_that_could_reach_into_others_is_synthesised_whole(leaf):
    assert Hierarchy.of({**DESIGN, "leaf.v": leaf}, "flow") is None
    assert Hierarchy.of({**DESIGN, "leaf.v": "(* keep_hierarchy *)\n" + LEAF}, "flow")


def test_texts_that_differ_behind_slashes_in_a_string_are_different_modules():
    texts = [LEAF.replace("a + b", f'a + "//{value}"') for value in "pq"]
    found = [Hierarchy.of({"leaf.v": text}, "flow") for text in texts]
    assert found[0].keys["leaf"] != found[1].keys["leaf"]


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
