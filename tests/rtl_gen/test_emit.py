"""The emitted Verilog: reproducible, one module per block, read by Yosys without a warning."""

from __future__ import annotations

import re

from codesign import yosys
from rtl_gen import emit
from rtl_gen.config import NpuConfig

CONFIG = NpuConfig(pixels=2, lanes=4, columns=8)


def test_same_configuration_same_bytes() -> None:
    assert emit.verilog(CONFIG) == emit.verilog(NpuConfig(pixels=2, lanes=4, columns=8))


def test_one_module_per_file_each_defined_once_and_used() -> None:
    files = emit.verilog(CONFIG)
    text = "".join(files.values())
    for name, content in files.items():
        assert re.findall(r"^module (\w+)", content, re.MULTILINE) == [name.removesuffix(".v")]
    for module in (name.removesuffix(".v") for name in files):
        uses = re.findall(rf"^\s+{module} ", text, re.MULTILINE)
        assert uses or module == emit.TOP, f"{module} is never instantiated"
    cells = re.findall(r"^  npu_mac_cell_w\d+ (\w+)", files["npu_mac_array.v"], re.MULTILINE)
    assert len(cells) == CONFIG.pixels * CONFIG.columns


def test_yosys_reads_it_without_a_warning() -> None:
    files = emit.verilog(CONFIG)
    passes = ("hierarchy -check -top npu", "proc", "check -assert", "write_json out.json", "")
    script = "\n".join([f"read_verilog {' '.join(files)}", *passes])
    run = yosys.find().run(script, files, "out.json", 300.0)
    assert "Warning" not in run.log
    assert not run.warnings
