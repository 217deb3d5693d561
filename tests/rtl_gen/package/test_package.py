"""Files for other tools say what the NPU is: C header, Vivado script, FuseSoC core, constraints.

Each is read by a tool of its language: gcc, tclsh, a YAML reader.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import ErrorCode
from rtl_gen.isa.registers import NPU_ID, Register, channel_address, weight_address
from rtl_gen.package import hardware, projects
from rtl_gen.package.c_header import c_header

CONFIG = NpuConfig()
TARGET = projects.Target("digits-1", "xc7a35tcpg236-1", 80.0, ("npu.v", "npu_ram.v"), "npu")

C_PROGRAM = """\
#include <stdio.h>
#include "npu_regs.h"
#include "npu_regs.h"
int main(void) {
  printf("%u %u %u %u %u %u\\n", NPU_ID, NPU_CONFIG_HASH, NPU_REG_WATCHDOG,
         NPU_WEIGHT_ADDRESS(3, 1), NPU_CHANNEL_ADDRESS(2, 1), NPU_ERROR_WATCHDOG);
  printf("%u %u %u\\n", NPU_CONTROL_START | NPU_STATUS_DISCARDING, NPU_ERROR_CODE(0x00050003u),
         NPU_ERROR_INSTRUCTION(0x00050003u));
  return 0;
}
"""


def test_c_header_compiles_and_agrees_with_the_isa(tmp_path):
    (tmp_path / "npu_regs.h").write_text(c_header(hardware.describe(CONFIG)))
    (tmp_path / "main.c").write_text(C_PROGRAM)
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic", "main.c", "-o", "main"],
        cwd=tmp_path,
        check=True,
    )
    shown = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    first, second = (list(map(int, line.split())) for line in shown.splitlines())
    assert first == [
        NPU_ID,
        int(CONFIG.hash[:8], 16),
        Register.WATCHDOG,
        weight_address(CONFIG, 3, 1),
        channel_address(CONFIG, 2, 1),
        ErrorCode.WATCHDOG,
    ]
    assert second == [1 | 8, 3, 5]


@pytest.mark.parametrize("lanes, columns, digit", [(4, 8, 1), (8, 16, 4), (6, 12, 2), (2, 2, 8)])
def test_the_hardware_description_follows_the_address_map(lanes, columns, digit):
    config = NpuConfig(lanes=lanes, columns=columns, weight_digit_bits=digit, post_units=2)
    for name, address in (("weights", weight_address), ("channels", channel_address)):
        place = hardware.describe(config)[name]
        for word in (0, 1, 5):
            assert place["base"] + 4 * place["pitch"] * word == address(config, word, 0)
        assert place["columns"] <= place["pitch"]
    fields = hardware.describe(config)["fields"]["LOAD"]
    assert fields["base"] == [64, 10]
    assert fields["strip_words"] == [80, 11]


TCL = """\
set text [read [open vivado.tcl]]
if {![info complete $text]} {error incomplete}
foreach name {read_verilog read_xdc synth_design report_utilization opt_design place_design
              phys_opt_design route_design report_timing_summary write_checkpoint} {
  proc $name args [list lappend ::ran $name]
}
source vivado.tcl
puts [join $ran { }]
"""


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh")
def test_the_vivado_script_runs_with_stub_commands(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "vivado.tcl").write_text(projects.vivado_tcl(TARGET))
    (tmp_path / "scripts" / "try.tcl").write_text(TCL)
    ran = subprocess.run(
        ["tclsh", "try.tcl"], cwd=tmp_path / "scripts", capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    commands = ran.stdout.split()
    assert commands[:3] == ["read_verilog", "read_xdc", "synth_design"]
    assert "route_design" in commands
    assert (tmp_path / "vivado").is_dir()


def test_the_vivado_script_names_every_file_and_the_part():
    text = projects.vivado_tcl(TARGET)
    assert "set part xc7a35tcpg236-1" in text
    assert all(f"$root/rtl/{file}" in text for file in TARGET.verilog)


def test_the_fusesoc_core_is_yaml_with_every_file():
    text = projects.fusesoc_core(TARGET)
    assert text.startswith("CAPI=2:\n")
    core = yaml.safe_load(text.removeprefix("CAPI=2:\n"))
    assert core["name"] == "::digits-1-npu:0"
    assert core["filesets"]["rtl"]["files"] == ["rtl/npu.v", "rtl/npu_ram.v"]
    assert core["targets"]["synth"]["tools"]["vivado"]["part"] == TARGET.part
    for target in core["targets"].values():
        assert target["toplevel"] == "npu"
        assert set(target["filesets"]) <= core["filesets"].keys()


def test_clock_constraints_have_the_period_and_the_frequency():
    assert "-period 12.500 [get_ports aclk]" in projects.xdc(TARGET)
    assert 'FREQUENCY PORT "aclk" 80 MHZ;' in projects.lpf(TARGET)
