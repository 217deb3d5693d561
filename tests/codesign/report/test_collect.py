"""A report is for one part and one family, and says where the part is assumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codesign import prediction, report
from codesign.build.build_folder import add_report, build
from codesign.fpga import devices
from codesign.report import collect
from codesign.results import Budget, UserError
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


def test_keys_of_a_later_version_and_empty_curves_are_left_out(tmp_path):
    folder = written(tmp_path / "a", "xc7s15")
    hop = {"name": "mac", "logic_ns": 1.0, "routing_ns": 0.5, "later": 1}
    path = {"start": "a", "end": "b", "logic_ns": 1.0, "routing_ns": 0.5, "hops": [hop], "later": 1}
    made = {"tool_version": "n 1", "seconds": 1.0, "device": "lfe5u-25f", "speed_grade": 6}
    add_report(folder, "timing", {**made, "critical_path": path})
    add_report(folder, "training", {"full": {"epochs": []}})
    data = collect.from_folder(folder)
    assert (data.critical_path.hops[0].name, data.curves) == ("mac", {})
    assert "Critical path" in report.render(data)
    del path["end"]
    add_report(folder, "timing", {**made, "critical_path": path})
    with pytest.raises(UserError, match=r"timing.json: critical_path: missing key end"):
        collect.from_folder(folder)


def test_names_of_curves_are_no_markup(tmp_path):
    folder = written(tmp_path / "a", "xc7s15")
    epoch = {"loss": 0.1, "accuracy": 0.9, "quantised": True}
    add_report(folder, "training", {"<script>alert(1)</script>": {"epochs": [epoch]}})
    page = report.render(collect.from_folder(folder))
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page


@pytest.mark.parametrize("key, value", [("luts", 0), ("images_per_second", 0), ("accuracy", 1.1)])
def test_candidates_that_no_chart_can_show_are_refused(key, value):
    good = {"label": "net", "accuracy": 0.9, "images_per_second": 5.0, "luts": 900.0}
    assert collect.candidates({"candidates": [good]})[0].luts == 900
    with pytest.raises(UserError, match=r"front.json: 'net': accuracy must be 0..1"):
        collect.candidates({"candidates": [{**good, key: value}]})


def _changed(folder: Path, change) -> None:
    program = json.loads((folder / "program.json").read_text())
    change(program["programs"]["normal"]["instructions"])
    (folder / "program.json").write_text(json.dumps(program))


def test_programs_of_another_network_are_refused(tmp_path):
    folder = written(tmp_path / "a", "xc7s15")
    good = (folder / "program.json").read_text()
    _changed(folder, lambda steps: [step.update(cycles=0) for step in steps])
    assert "Cycles and MAC utilisation" in report.render(collect.from_folder(folder))

    def repeat(steps):
        steps[-1:-1] = [step for step in steps if step["opcode"] == "LAYER"]

    _changed(folder, repeat)
    with pytest.raises(UserError, match=r"program.json: .* has no tiles left of its layer"):
        collect.from_folder(folder)
    (folder / "program.json").write_text(good)
    _changed(folder, lambda steps: [step["fields"].update(passes=-1) for step in steps])
    with pytest.raises(UserError, match=r"program.json: .*passes: must be an integer 0.."):
        collect.from_folder(folder)
