"""FPGA families: the Yosys command for each, and the resources that each primitive takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codesign.fpga.yosys import YosysError
from codesign.results import Figures, UserError


@dataclass(frozen=True)
class Family:
    """Synthesis command of one FPGA family, and the resources that its primitives take.

    >>> cells = {"LUT6": 100, "RAM32M": 2, "FDRE": 80, "RAMB18E1": 3, "CARRY4": 9}
    >>> get("xc7").figures(cells).to_dict()
    {'luts': 108, 'lutrams': 8, 'ffs': 80, 'brams': 1.5, 'dsps': 0}
    """

    name: str
    command: str
    """Yosys command that keeps the hierarchy, without -top and -nodsp."""
    flat: str
    """The same command, flattening all modules but those whose Verilog says ``keep_hierarchy``."""
    luts: Mapping[str, int]
    """LUTs that a logic primitive takes, by its name."""
    lutrams: Mapping[str, int]
    """LUTs that a primitive of distributed RAM or shift registers takes, by its name."""
    ffs: frozenset[str]
    """Primitives that are one flip-flop or latch."""
    brams: Mapping[str, float]
    """36 Kb blocks that a block RAM primitive takes, by its name."""
    dsps: frozenset[str]
    """Primitives that are one DSP slice."""
    free: frozenset[str]
    """Primitives that take none of the resources above."""

    @property
    def primitives(self) -> frozenset[str]:
        """All primitives that the family lists."""
        return frozenset(
            {*self.luts, *self.lutrams, *self.ffs, *self.brams, *self.dsps, *self.free}
        )

    def figures(self, cells: Mapping[str, int]) -> Figures:
        """Convert primitive counts to resources; LUTs include the lutrams.

        cells: count by primitive. Raises YosysError for a primitive that the family does not list,
        because its resources are unknown.
        """
        unknown = sorted(set(cells) - self.primitives)
        if unknown:
            raise YosysError(f"{self.name} netlist holds unknown cells: {', '.join(unknown)}")
        lutrams = sum(self.lutrams.get(cell, 0) * n for cell, n in cells.items())
        return Figures(
            luts=lutrams + sum(self.luts.get(cell, 0) * n for cell, n in cells.items()),
            lutrams=lutrams,
            ffs=sum(n for cell, n in cells.items() if cell in self.ffs),
            brams=sum(self.brams.get(cell, 0.0) * n for cell, n in cells.items()),
            dsps=sum(n for cell, n in cells.items() if cell in self.dsps),
        )


XC7 = Family(
    name="xc7",
    command="synth_xilinx -family xc7 -noiopad -noclkbuf",
    flat="synth_xilinx -family xc7 -noiopad -noclkbuf -flatten",
    luts={f"LUT{inputs}": 1 for inputs in range(1, 7)},
    lutrams={
        "RAM16X1D": 2, "RAM32X1S": 1, "RAM32X1D": 2, "RAM64X1S": 1, "RAM64X1D": 2,
        "RAM128X1S": 2, "RAM128X1D": 4, "RAM256X1S": 4, "RAM32M": 4, "RAM64M": 4,
        "SRL16": 1, "SRL16E": 1, "SRLC16": 1, "SRLC16E": 1, "SRLC32E": 1,
    },
    ffs=frozenset({"FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1",
                   "LDCE", "LDPE"}),
    brams={"RAMB36E1": 1.0, "RAMB18E1": 0.5},
    dsps=frozenset({"DSP48E1"}),
    free=frozenset({"CARRY4", "MUXF7", "MUXF8", "INV", "GND", "VCC", "$scopeinfo"}),
)  # fmt: skip

ECP5 = Family(
    name="ecp5",
    command="synth_ecp5 -noflatten",
    flat="synth_ecp5",
    # LUTs are TRELLIS_COMB sites, as nextpnr-ecp5 counts them.
    luts={"LUT4": 1, "CCU2C": 2},
    # Four LUTs of data and two that the write port occupies (FPGA-TN-02204, "PFU RAM").
    lutrams={"TRELLIS_DPR16X4": 6},
    ffs=frozenset({"TRELLIS_FF"}),
    brams={"DP16KD": 0.5, "PDPW16KD": 0.5},
    dsps=frozenset({"MULT18X18D", "MULT9X9D"}),
    free=frozenset({"PFUMX", "L6MUX21", "GND", "VCC", "VHI", "VLO", "$scopeinfo"}),
)

FAMILIES: Mapping[str, Family] = {family.name: family for family in (XC7, ECP5)}
TIMED = (ECP5.name,)
"""Families of which a model estimates the highest clock (codesign.cost.timing)."""


def get(name: str) -> Family:
    """Return the family of that name. Raises UserError with the known names."""
    if name not in FAMILIES:
        raise UserError(f"family must be one of {', '.join(FAMILIES)}, not {name!r}")
    return FAMILIES[name]
