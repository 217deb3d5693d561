"""Verilog emission: an NpuConfig as Verilog-2005, the text of one file per unique block."""

from __future__ import annotations

import re
from pathlib import Path

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

from rtl_gen.blocks.hierarchy import Block, Emission
from rtl_gen.config import NpuConfig
from rtl_gen.naming import TOP
from rtl_gen.npu import NpuTop

_STATIC = Path(__file__).parent / "verilog"
_ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")

_TRIGGER = r"\\\$auto\$verilog_backend\S+ "
"""Pattern of the numbered register with which Yosys makes combinational processes run at time 0;
it is given a fixed name, so that a module's text does not depend on the other modules."""

_NOTHING = re.compile(r"^(?: *wire width 0 .*|connect \S+ \{  \})\n", re.MULTILINE)
"""Pattern of RTLIL lines for signals of 0 bits, which Verilog does not have."""

_LINT = """\
// Operands are as short as they can be; the language extends them where they meet longer ones.
/* verilator lint_save */
/* verilator lint_off WIDTHEXPAND */
/* verilator lint_off WIDTHTRUNC */
{module}/* verilator lint_restore */
"""
_KEEP = '(* keep_hierarchy = "yes" *)\n'
"""Attribute of modules that synthesis must not flatten, for Yosys and Vivado."""


def verilog(config: NpuConfig) -> dict[str, str]:
    """Return the NPU as Verilog with plain names: file name -> text, sorted; the top is ``npu``.

    One file per unique module, each with the docstring of its Amaranth component as a comment at
    its head; hand-written memories are copied as they are. No file is written. The same
    configuration always gives the same bytes. Takes a second or so: Yosys runs once. naming.Names
    gives the modules the names that they have in a build folder. Raises Amaranth's YosysError if
    it finds no Yosys or that fails.
    """
    emission = Emission()
    blocks: dict[str, Block | NpuTop] = {TOP: NpuTop(config)}
    texts = {TOP: rtlil.convert(blocks[TOP], name=TOP, platform=emission, emit_src=False)}
    while missing := sorted(emission.blocks.keys() - texts.keys()):
        for name in missing:
            blocks[name] = emission.blocks[name]
            texts[name] = rtlil.convert(blocks[name], name=name, platform=emission, emit_src=False)
    files = {f"{name}.v": _STATIC.joinpath(f"{name}.v").read_text() for name in emission.static}
    for name, module in _modules("\n".join(texts[name] for name in sorted(texts))).items():
        block = blocks[name]
        kept = _KEEP if isinstance(block, Block) and block.keep_hierarchy else ""
        text = _LINT.format(module=kept + module)
        files[f"{name}.v"] = f"{_comment(type(block).__doc__ or '')}\n{text}"
    return dict(sorted(files.items()))


def _modules(rtlil_text: str) -> dict[str, str]:
    """Convert RTLIL to Verilog, module name -> text, in one run of the Yosys that Amaranth finds.

    rtlil_text: all modules. The passes are those of amaranth.back.verilog, which would start Yosys
    once per component.
    """
    removals = " ".join(f"-remove {attribute}" for attribute in _ATTRIBUTES)
    script = [
        f"read_rtlil <<rtlil\n{_NOTHING.sub('', rtlil_text)}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        f"attrmap {removals}",
        f"attrmap -modattr {removals}",
        "write_verilog -norename",
    ]
    yosys = find_yosys(lambda version: version >= (0, 40))
    text = yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True)
    text = re.sub(_TRIGGER, "time_zero ", text)
    modules = re.finditer(r"^module (\w+).*?^endmodule\n", text, re.DOTALL | re.MULTILINE)
    return {module[1]: _with_defaults(module[0]) for module in modules}


def _with_defaults(module: str) -> str:
    """Return Verilog, as Yosys writes it, with a default in each case statement."""
    out: list[str] = []
    complete: list[bool] = []
    for line in module.splitlines(keepends=True):
        statement = line.lstrip()
        if statement.startswith("casez "):
            complete.append(False)
        elif statement.startswith("default:"):
            complete[-1] = True
        elif statement.startswith("endcase") and not complete.pop():
            out.append(f"{line[: -len(statement)]}  default: ;\n")
        out.append(line)
    return "".join(out)


def _comment(doc: str) -> str:
    """Return a docstring as Verilog comment lines, each with a newline; no line if it is empty."""
    return "".join(f"// {line.strip()}".rstrip() + "\n" for line in doc.strip().splitlines())
