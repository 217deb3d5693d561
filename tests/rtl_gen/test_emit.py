"""The emitted Verilog is reproducible, has one module per block, and Yosys reads it cleanly."""

from __future__ import annotations

import re

import pytest
from amaranth import Module, Signal

from codesign.fpga import yosys
from rtl_gen import emit
from rtl_gen.blocks.hierarchy import Emission, instantiate
from rtl_gen.blocks.mac_array import MacCell
from rtl_gen.config import NpuConfig

CONFIG = NpuConfig(pixels=2, lanes=4, columns=8)


def test_the_same_configuration_gives_the_same_bytes() -> None:
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


@pytest.mark.parametrize(
    ("bits", "shape"), [(4, (4, 16, 16)), (2, (2, 16, 32)), (8, (1, 32, 32)), (8, (8, 8, 16))]
)
def test_1024_products_take_at_most_20000_lines(bits: int, shape: tuple[int, int, int]) -> None:
    """The widest weight words take the most lines: a RAM for every 32 bits."""
    pixels, lanes, columns = shape
    config = NpuConfig(
        pixels=pixels, lanes=lanes, columns=columns, activation_bits=max(bits, 4),
        weight_digit_bits=bits, accumulator_bits=26, post_units=4,
    )  # fmt: skip
    assert config.macs == 1024
    assert sum(text.count("\n") for text in emit.verilog(config).values()) <= 20_000


def test_a_value_of_another_width_than_its_port_is_refused() -> None:
    m, block = Module(), MacCell(CONFIG)
    m._MustUse__silence = True
    with pytest.raises(ValueError, match="3 bits for port digits of npu_mac_cell"):
        instantiate(m, Emission(), "cell", block, digits=Signal(3))
