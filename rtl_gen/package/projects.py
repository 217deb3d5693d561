"""Constraints and project files for vendor tools: XDC, LPF, Vivado script, FuseSoC core.

Vivado is not run here; the tests check only the syntax of its script. The clock constraint is the
requested frequency, not the one that place and route reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.files import names

CLOCK_PORT = "aclk"


@dataclass(frozen=True)
class Target:
    """Design, device and clock that the project files are written for.

    Raises FileError for names that would have to be quoted in Tcl or YAML.

    >>> target = Target("digits", "xc7a35tcpg236-1", 80.0, ("npu.v",), "npu")
    >>> target.period_ns
    12.5
    """

    name: str
    """Name of the design: letters, digits, '_' and '-'."""
    part: str
    """Vivado part name of a 7-series device."""
    clock_mhz: float
    """Requested clock frequency in MHz."""
    verilog: tuple[str, ...]
    """Names of the Verilog files in rtl/, without the folder."""
    top: str
    """Name of the top module."""
    assumed: str = ""
    """Why the part is assumed, as a line of text; empty: the user chose it."""

    def __post_init__(self) -> None:
        names.part(self.name, "design name")
        names.part(self.part, "part")
        for file in self.verilog:
            names.verilog_file(file)
        names.identifier(self.top, "top module")

    @property
    def period_ns(self) -> float:
        """Clock period in ns, rounded to 1 ps."""
        return round(1000 / self.clock_mhz, 3)


def xdc(target: Target) -> str:
    """Return the text of constraints/npu.xdc: the clock alone, as AXI ports stay on chip."""
    return (
        f"# {target.clock_mhz:g} MHz\n"
        f"create_clock -name {CLOCK_PORT} -period {target.period_ns:.3f} "
        f"[get_ports {CLOCK_PORT}]\n"
    )


def lpf(target: Target) -> str:
    """Return the text of constraints/npu.lpf: the clock, for nextpnr-ecp5.

    The pins have no places, which needs its option --lpf-allow-unconstrained.
    """
    return f'FREQUENCY PORT "{CLOCK_PORT}" {target.clock_mhz:g} MHZ;\n'


def vivado_tcl(target: Target) -> str:
    """Return the text of scripts/vivado.tcl: synthesis, placement and routing, with reports.

    Out of context, that is of the NPU between its AXI ports.
    """
    files = " \\\n".join(f"  $root/rtl/{file}" for file in target.verilog)
    note = f"# NOTE: {target.assumed}\n" if target.assumed else ""
    return f"""\
# vivado -mode batch -source scripts/vivado.tcl
# Out of context: resources and timing of the NPU between its AXI ports. Not run by the generator.
{note}set part {target.part}
set root [file normalize [file join [file dirname [info script]] ..]]
set out [file join $root vivado]
file mkdir $out

read_verilog [list \\
{files} \\
]
read_xdc $root/constraints/npu.xdc

synth_design -top {target.top} -part $part -mode out_of_context
report_utilization -file $out/utilization_synth.rpt
opt_design
place_design
phys_opt_design
route_design
report_utilization -hierarchical -file $out/utilization.rpt
report_timing_summary -file $out/timing.rpt
write_checkpoint -force $out/{target.top}.dcp
"""


def fusesoc_core(target: Target) -> str:
    """Return the text of <name>.core (CAPI2) for FuseSoC: filesets, targets for lint and Vivado."""
    note = f"  # NOTE: {target.assumed}" if target.assumed else ""
    return f"""\
CAPI=2:

name: ::{target.name}-npu:0
description: NPU of the design {target.name}

filesets:
  rtl:
    files:
{_yaml_files(target.verilog)}
    file_type: verilogSource-2005
  xdc:
    files:
      - constraints/npu.xdc
    file_type: xdc

targets:
  default: &default
    filesets: [rtl]
    toplevel: {target.top}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
  synth:
    <<: *default
    filesets: [rtl, xdc]
    default_tool: vivado
    tools:
      vivado:
        part: {target.part}{note}
"""


def _yaml_files(files: Sequence[str]) -> str:
    return "\n".join(f"      - rtl/{file}" for file in files)
