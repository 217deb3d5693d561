"""Calibration of the area model to another tool flow, from a few of its utilisation reports.

Reports of Vivado, Yosys and nextpnr are read; the factor is found; intervals hold the flow; bad
input is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codesign.cli.main import main
from codesign.cost import calibration
from codesign.cost.area.model import AreaModel, Learned
from codesign.cost.table import ConfigTable
from codesign.fpga import families, flow_reports, synthesis, yosys
from codesign.results import Figures, UserError
from rtl_gen.config import NpuConfig
from tests.codesign.cost import synthetic
from tests.codesign.fpga.test_repeatable import DESIGN

VIVADO = """
| Site Type                  | Used | Fixed | Prohibited | Available | Util% |
| Slice LUTs*                | {luts} |     0 |          0 |     63400 |  2.51 |
|   LUT as Logic             | 1,430 |     0 |          0 |     63400 |  2.26 |
|   LUT as Memory            |  161 |     0 |          0 |     19000 |  0.85 |
| Slice Registers            | 1720 |     0 |          0 |    126800 |  1.36 |
| Block RAM Tile             |  3.5 |     0 |          0 |       135 |  2.59 |
| DSPs                       |    2 |     0 |          0 |       240 |  0.83 |
"""


HIERARCHICAL = """
| Tool Version : Vivado v.2023.1 (lin64)
1. Utilization by Hierarchy
---------------------------

+------------+----------+------------+------------+---------+------+------+--------+--------+{dsp}
| Instance   |  Module  | Total LUTs | Logic LUTs | LUTRAMs | SRLs | FFs  | RAMB36 | RAMB18 |{dsp}
+------------+----------+------------+------------+---------+------+------+--------+--------+{dsp}
| npu        |    (top) | 1591{pct}  |       1430 |     113 |   48 | 1720 |      2 |      3 | 2 |
|   (npu)    |    (top) |         92 |         92 |       0 |    0 |  142 |      0 |      0 | 0 |
|   array    | my_array |        801 |        801 |       0 |    0 |  632 |      0 |      0 | 2 |
+------------+----------+------------+------------+---------+------+------+--------+--------+{dsp}
"""


def stat(**modules: dict[str, object]) -> str:
    """Return Yosys's stat -json of modules with their cells."""
    bodies = {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}
    return json.dumps({"modules": bodies})


def nextpnr(**used: object) -> str:
    """Return nextpnr's report of cell types and their numbers."""
    return json.dumps({"utilization": {name: {"used": n} for name, n in used.items()}})


def npus(count: int) -> list[NpuConfig]:
    """Return NPUs of 1 to ``count`` pixel lanes."""
    return [NpuConfig(pixels=1 + k, lanes=4, columns=8) for k in range(count)]


def reports(model: AreaModel, factor: float, noise: float, count: int) -> list:
    """Return figures of a flow that takes ``factor`` times the estimated LUTs, with noise."""
    found = model.estimate(ConfigTable.of(npus(count)))
    scatter = np.exp(np.random.default_rng(1).normal(0, noise, count))
    return [
        (config, Figures(luts=float(found.luts[k] * factor * scatter[k]), ffs=1000.0))
        for k, config in enumerate(npus(count))
    ]


def test_the_factor_is_found_and_the_interval_holds_the_flow() -> None:
    model = synthetic.model()
    fitted, found = calibration.calibrate(model, reports(model, 2.2, 0.05, 8))
    luts = found["luts"]
    assert luts.calibration.factor == pytest.approx(2.2, rel=0.05)
    assert luts.calibration.points == 8
    assert luts.after[1] - luts.after[0] > luts.before[1] - luts.before[0]
    table = ConfigTable.of(npus(8))
    assert fitted.estimate(table).luts == pytest.approx(
        model.estimate(table).luts * luts.calibration.factor
    )
    assert "lutrams" not in found  # the reports do not say


def test_more_reports_make_the_interval_narrower() -> None:
    widths = []
    for count in (2, 4, 12):
        _, found = calibration.calibrate(
            synthetic.model(), reports(synthetic.model(), 1.3, 0.05, count)
        )
        spread = dataclasses.replace(found["luts"].calibration, deviation=0.05)
        widths.append(spread.half(0.9))
    assert widths[0] > widths[1] > widths[2]
    assert 5 <= calibration.enough() <= 20


def test_a_flow_that_scatters_never_lowers_what_a_budget_is_tested_with() -> None:
    """The bound is never closer to the estimate than without calibration.

    Not even if most NPUs were smaller than estimated, so that the bound lies below the estimate.
    """
    model = synthetic.model()
    lower = {name: Learned(one.model, one.errors - 3) for name, one in model.learned.items()}
    model = dataclasses.replace(model, learned=lower)
    fitted, _ = calibration.calibrate(model, reports(model, 1.0, 0.2, 4))
    table = ConfigTable.of(npus(8))
    for confidence in (0.5, 0.6, 0.9):
        plain, scattered = (one.estimate(table, confidence) for one in (model, fitted))
        ratio = scattered.bound["luts"] / scattered.luts
        assert (ratio >= plain.bound["luts"] / plain.luts * (1 - 1e-12)).all(), confidence


def test_too_few_reports_are_refused() -> None:
    model = synthetic.model()
    with pytest.raises(UserError, match="needs 2 reports of different designs at least, not 1"):
        calibration.calibrate(model, reports(model, 1.0, 0.0, 1))
    with pytest.raises(UserError, match="two reports are of the same NPU"):
        calibration.calibrate(model, reports(model, 1.0, 0.0, 1) * 2)
    nothing = [(config, Figures(ffs=5.0)) for config in npus(2)]
    with pytest.raises(UserError, match="does not say how many LUTs"):
        calibration.calibrate(model, nothing)


def test_vivado_reports_are_read(tmp_path: Path) -> None:
    path = tmp_path / "util.rpt"
    path.write_text(VIVADO.format(luts="1,591"))
    assert flow_reports.read(path) == Figures(luts=1591, lutrams=161, ffs=1720, brams=3.5, dsps=2)


@pytest.mark.parametrize(("dsp", "pct"), [("DSP Blocks |", ""), ("DSP48 Blocks |", "(4.88%)")])
def test_the_table_that_the_build_folders_vivado_script_writes_is_read(
    tmp_path: Path, dsp: str, pct: str
) -> None:
    path = tmp_path / "utilization.rpt"
    path.write_text(HIERARCHICAL.format(dsp=f" {dsp}", pct=pct))
    assert flow_reports.read(path) == Figures(luts=1591, lutrams=161, ffs=1720, brams=3.5, dsps=2)


@pytest.mark.parametrize("family", ["xc7", "ecp5"])
def test_what_the_script_of_a_build_folder_writes_is_read(tmp_path: Path, family: str) -> None:
    """It is hierarchical; Yosys adds up the primitives of the whole design in it, too."""
    for name, text in DESIGN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "synth.ys").write_text(synthesis.script(tuple(DESIGN), family=family))
    subprocess.run((*yosys.find().command, "synth.ys"), cwd=tmp_path, check=True)
    written = json.loads((tmp_path / "stat.json").read_text())
    assert len(written["modules"]) > 4
    cells = written["design"]["num_cells_by_type"]
    own = {cell: n for cell, n in cells.items() if cell in families.get(family).primitives}
    found = flow_reports.read(tmp_path / "stat.json")
    assert found == families.get(family).figures(own)
    assert found.ffs == 18


def test_yosys_and_nextpnr_reports_are_read(tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    cells = {"LUT6": 10, "RAM64M": 2, "FDRE": 7, "RAMB18E1": 3, "CARRY4": 4}
    path.write_text(stat(npu=cells))
    assert flow_reports.read(path) == Figures(luts=18, lutrams=8, ffs=7, brams=1.5, dsps=0)
    path.write_text(stat(npu={"LUT4": 3, "CCU2C": 2, "TRELLIS_FF": 7}))  # LUT4 is xc7's as well
    assert flow_reports.read(path) == Figures(luts=7, lutrams=0, ffs=7, brams=0, dsps=0)
    # Each module counts once per instance, whatever the modules are called.
    dot = {"LUT6": 10, "ram": 1}
    path.write_text(stat(ram={"RAM32M": 1}, mine_top={"FDRE": 2, "dot": 3, "ram": 4}, dot=dot))
    assert flow_reports.read(path) == Figures(luts=58, lutrams=28, ffs=2, brams=0, dsps=0)
    used = {"TRELLIS_COMB": {"used": 900, "available": 1}, "TRELLIS_FF": {"used": 5},
            "DP16KD": {"used": 3}, "MULT18X18D": {"used": 1}}  # fmt: skip
    path.write_text(json.dumps({"utilization": used, "fmax": {}}))
    assert flow_reports.read(path) == Figures(luts=900, ffs=5, brams=1.5, dsps=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing of the kind", "not a report that is known"),
        ("| Slice LUTs | 1.2.3 |", "not a report that is known"),
        (HIERARCHICAL.format(dsp="", pct=".5.6"), "not a report that is known"),
        ("{", "not JSON"),
        ('{"modules": {}}', "neither Yosys's stat -json nor nextpnr-ecp5's .*one top module"),
        (stat(a={"LUT6": 1}, b={"LUT6": 1}), "one top module expected, not a, b"),
        (stat(a={"b": 1}, b={"c": 1}, c={"b": 1}), "cycle"),
        (stat(npu={"AND2": 3}), r"no cells of a known family \(xc7, ecp5\)"),
        (stat(npu={"LUT6": 3, "X": 1}), "unknown cells: X"),
        (stat(npu={"LUT6": -3}), r"LUT6 must be used 0\.\.1000000000 times, not -3"),
        (stat(npu={"LUT6": 1.5}), "LUT6 must be used"),
        (stat(npu={"LUT6": math.nan}), "NaN is not a finite number"),
        (nextpnr(ICESTORM_LC=900), "of iCE40, only ECP5 is read"),
        (nextpnr(OXIDE_COMB=900), "of Nexus, only ECP5 is read"),
        (nextpnr(LUT4=900), "no TRELLIS_COMB cells"),
        (nextpnr(TRELLIS_COMB="many"), "TRELLIS_COMB must be used"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "report"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        flow_reports.read(path)
    assert str(path) in str(caught.value)


def test_the_calibrate_command_writes_a_model_and_refuses_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path("examples/digits_tiny.yaml")
    other = tmp_path / "other.yaml"
    other.write_text(example.read_text().replace("pixels: 1", "pixels: 2"))
    texts = []
    for k, design in enumerate((example, other)):
        report = tmp_path / f"{k}.rpt"
        report.write_text(VIVADO.format(luts=2500 + 500 * k))
        texts.append(f"{design}={report}")
    out = tmp_path / "flow.json"
    assert main(["calibrate", *texts, "--out", str(out)]) == 0
    assert "2 reports; from about" in capsys.readouterr().out
    assert out.exists()
    assert main(["calibrate", texts[0], "--out", str(out)]) == 2
    assert main(["calibrate", "x.yaml", "--out", str(out)]) == 2
    assert "must be DESIGN=REPORT, not 'x.yaml'" in capsys.readouterr().err
