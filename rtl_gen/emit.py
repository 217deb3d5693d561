"""Verilog emission: an NpuConfig as Verilog-2005, the text of one file per unique block."""

from __future__ import annotations

import re
from pathlib import Path

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil

from rtl_gen.blocks.hierarchy import Block, Emission
from rtl_gen.config import NpuConfig
from rtl_gen.npu import NpuTop

TOP = "npu"
_STATIC = Path(__file__).parent / "verilog"
_ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")

_TRIGGER = r"\\\$auto\$verilog_backend\S+ "
"""Pattern of the numbered register with which Yosys makes combinational processes run at time 0;
it is given a fixed name, so that a module's text does not depend on the other modules."""


def verilog(config: NpuConfig) -> dict[str, str]:
    """Return the NPU as Verilog: file name -> text, sorted by name; the top module is ``npu``.

    One file per unique module, each with the docstring of its Amaranth component as a comment at
    its head; hand-written memories are copied as they are. No file is written. The same
    configuration always gives the same bytes. Takes a second or so: Yosys runs once.
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
        files[f"{name}.v"] = f"{_comment(type(blocks[name]).__doc__ or '')}\n{module}"
    return dict(sorted(files.items()))


def _modules(rtlil_text: str) -> dict[str, str]:
    """Convert RTLIL to Verilog, module name -> text, in one run of Amaranth's own Yosys.

    rtlil_text: all modules. The passes are those of amaranth.back.verilog, which would start Yosys
    once per component.
    """
    removals = " ".join(f"-remove {attribute}" for attribute in _ATTRIBUTES)
    script = [
        f"read_rtlil <<rtlil\n{rtlil_text}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        f"attrmap {removals}",
        f"attrmap -modattr {removals}",
        "write_verilog -norename",
    ]
    yosys = find_yosys(lambda version: version >= (0, 40))
    text = yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True)
    text = re.sub(_TRIGGER, "time_zero ", text)
    modules = re.findall(r"^module (\w+).*?^endmodule\n", text, re.DOTALL | re.MULTILINE)
    bodies = re.findall(r"^module \w+.*?^endmodule\n", text, re.DOTALL | re.MULTILINE)
    return dict(zip(modules, bodies, strict=True))


def _comment(doc: str) -> str:
    """Return a docstring as Verilog comment lines, each with a newline; no line if it is empty."""
    return "".join(f"// {line.strip()}".rstrip() + "\n" for line in doc.strip().splitlines())
