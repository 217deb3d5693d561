"""A report is for one part and one family, and says where the part is assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign import prediction, report
from codesign.build.build_folder import add_report, build
from codesign.fpga import devices
from codesign.report import collect
from codesign.results import Budget
from tests.codesign import small_build


def written(out: Path, device: str | None, synthesised: str | None = None) -> Path:
    """Write a build folder for a part, with a synthesis for a family."""
    design, compiled, vectors = small_build.parts()
    part = devices.get(device) if device else None
    estimate = prediction.estimate_design(design, devices.family_of(part)).to_dict()
    build(design, compiled, vectors, out, device=part, reports={"estimate": estimate})
    if synthesised:
        found = {"family": synthesised, "tool_version": "y 1", "seconds": 1.0}
        figures = {"luts": 3000, "fmax_mhz": 80.5}
        add_report(out, "synthesis", {**found, "figures": figures})
    return out


def test_a_part_that_nobody_chose_is_called_assumed_everywhere(tmp_path):
    folder = written(tmp_path / "a", None)
    data = collect.from_folder(folder)
    assert (data.device, data.device_assumed) == ("xc7a50tcsg324-1", True)
    page = report.render(data)
    assert "xc7a50tcsg324-1 (assumed)" in page
    assert "of 32,600 (assumed device)" in page
    note = f"# NOTE: {devices.ASSUMED}"
    assert f"{note}\nset part xc7a50tcsg324-1\n" in (folder / "scripts/vivado.tcl").read_text()
    assert f"part: xc7a50tcsg324-1  {note}\n" in (folder / "small.core").read_text()


def test_a_part_that_was_chosen_is_not(tmp_path):
    folder = written(tmp_path / "a", "xc7s15")
    data = collect.from_folder(folder)
    assert (data.capacity["luts"], data.device_assumed) == (8000, False)
    assert "assumed" not in report.render(data)
    for name in ("scripts/vivado.tcl", "small.core"):
        assert "NOTE" not in (folder / name).read_text()
    assert (
        "lfe5u-85f" in (written(tmp_path / "b", "lfe5u-85f") / "scripts/vivado.tcl").read_text()
    )  # Vivado does not know it: another part stands there, and this is said


@pytest.mark.parametrize(
    "built, synthesised, asked, family, assumed",
    [
        (None, "ecp5", None, "ecp5", True),  # synth --place
        ("lfe5u-45f", "ecp5", None, "ecp5", False),
        (None, None, "lfe5u-85f", "ecp5", False),
        ("lfe5u-85f", "xc7", "xc7a35t", "xc7", False),
    ],
)
def test_estimate_synthesis_and_capacity_are_of_one_family(
    tmp_path, built, synthesised, asked, family, assumed
):
    folder = written(tmp_path / "a", built, synthesised)
    data = collect.from_folder(folder, asked)
    design, *_ = small_build.parts()
    assert data.estimate == prediction.estimate_design(design, family).figures
    part = next(one for one in devices.all_devices().values() if one.part == data.device)
    assert (part.family, data.device_assumed) == (family, assumed)
    assert data.capacity["luts"] == part.luts
    if synthesised:
        assert data.synthesised.luts == 3000


def test_a_synthesis_for_another_family_is_left_out_and_said(tmp_path):
    folder = written(tmp_path / "a", "xc7a35t", "ecp5")
    data = collect.from_folder(folder)
    assert data.synthesised.to_dict() == {"fmax_mhz": 80.5}
    assert "synthesis was for ecp5, this page is for xc7a35t (xc7)" in data.notes[-1]
    # A search without a device has a budget of xc7, and so its page stays one of xc7.
    searched = collect.from_build(written(tmp_path / "b", None, "ecp5"), budget=Budget(luts=2500))
    assert searched.synthesised.luts is None
    assert searched.budget.luts == 2500
    other = collect.from_build(folder, budget=Budget(luts=2500), device="lfe5u-85f")
    assert other.synthesised.luts == 3000
    assert other.budget is None
    assert "the budget counts resources of xc7" in other.notes[-1]
