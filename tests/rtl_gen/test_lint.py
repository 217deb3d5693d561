"""Verilator takes the emitted Verilog without a warning, alone and beside another NPU."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.flattening import FORMS
from rtl_gen import emit
from rtl_gen.config import NpuConfig
from rtl_gen.naming import Names
from rtl_gen.parameters import ConfigError
from sim.tools import verilator

TWO = """\
module two(input aclk, input aresetn, output [1:0] irq);
  /* verilator lint_off PINMISSING */
  {left} a (.aclk(aclk), .aresetn(aresetn), .irq(irq[0]));
  {right} b (.aclk(aclk), .aresetn(aresetn), .irq(irq[1]));
  /* verilator lint_on PINMISSING */
endmodule
"""


def lint(folder: Path, top: str, files: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``verilator --lint-only --top-module TOP *.v`` as a user would: without any -Wno."""
    tool = verilator.find()
    for name, text in files.items():
        (folder / name).write_text(text)
    return subprocess.run(
        [str(tool.program), "--lint-only", "--top-module", top, *sorted(files)],
        cwd=folder, env=verilator.environment(tool.root), capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_lints_clean(form: str, tmp_path: Path) -> None:
    names = Names(FORMS[form])
    done = lint(tmp_path, names.top, names.named(emit.verilog(FORMS[form])))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_case_without_a_default_is_found(tmp_path: Path) -> None:
    """The waivers are of widths alone."""
    files = emit.verilog(FORMS["smallest"])
    files["npu_sequencer.v"] = files["npu_sequencer.v"].replace("default: ;\n", "", 1)
    done = lint(tmp_path, "npu", files)
    assert done.returncode
    assert "CASEINCOMPLETE" in done.stderr


@pytest.mark.parametrize("prefixes", [("left_", "right_"), ("", "other_")])
def test_two_npus_stand_in_one_project(prefixes: tuple[str, str], tmp_path: Path) -> None:
    sides = [
        Names(FORMS[form], prefix)
        for form, prefix in zip(("smallest", "1:4"), prefixes, strict=True)
    ]
    left, right = (names.named(emit.verilog(names.config)) for names in sides)
    assert not left.keys() & right.keys()
    top = TWO.format(left=sides[0].top, right=sides[1].top)
    done = lint(tmp_path, "two", {**left, **right, "two.v": top})
    assert (done.returncode, done.stderr) == (0, "")


def test_npus_without_a_prefix_share_the_name_of_the_top_alone() -> None:
    """Mixed by mistake, they clash rather than take each other's modules."""
    a, b = (
        Names(FORMS[form]).named(emit.verilog(FORMS[form])) for form in ("smallest", "2-bit digits")
    )
    assert a.keys() & b.keys() == {"npu.v"}


@pytest.mark.parametrize("prefix", ["", "left_", "_", "npu", "A9_npu_"])
def test_names_are_undone(prefix: str) -> None:
    names = Names(FORMS["smallest"], prefix)
    plain = emit.verilog(names.config)
    named = names.named(plain)
    assert Names.of_files(names.config, named) == names
    assert names.unnamed(named) == plain
    assert all(file.startswith(f"{prefix}npu") for file in named)
    other = Names(NpuConfig(), prefix)
    assert not {other.of("npu_ram"), other.of("npu_halt")} & {name[:-2] for name in named}


@pytest.mark.parametrize("prefix", ["9", "a-b", "a b", "é", "a$", "x" * 33, "a\n"])
def test_a_prefix_that_starts_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="prefix must be a letter or _, then"):
        Names(NpuConfig(), prefix)
