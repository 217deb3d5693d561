"""Hostile searches, area models and reports of other tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.codesign import small_build
from tests.hostile.cases import CASES, case


def _search(folder: Path) -> list[str]:
    """The arguments that go on with a search in ``folder``, with the files of one."""
    from codesign.cli.search_options import SearchOptions
    from codesign.explore.replacing import SETTINGS

    (folder / SETTINGS).write_text(json.dumps({"format": 2, "seed": SearchOptions().seed}))
    return ["explore", "--lut-budget", "9000", "--out", str(folder), "--resume"]


@case
def x5_journal_is_a_link(folder: Path, build: Path) -> list[str]:
    other = folder.with_name(f"{folder.name}-thesis")
    other.write_text("a thesis without a last newline")
    arguments = _search(folder)
    (folder / "trials.journal").symlink_to(other)
    return arguments


@case
def x5_lock_is_a_link(folder: Path, build: Path) -> list[str]:
    other = folder.with_name(f"{folder.name}-thesis")
    other.write_text("a thesis")
    arguments = _search(folder)
    (folder / ".lock").symlink_to(other)
    return arguments


@case
def x5_training_is_a_link(folder: Path, build: Path) -> list[str]:
    other = folder.with_name(f"{folder.name}-elsewhere")
    other.mkdir()
    arguments = _search(folder)
    (folder / "training").symlink_to(other)
    return arguments


def _summary(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """A case of a finished search with a changed summary.json."""

    def make(folder: Path, build: Path) -> list[str]:
        summary = {"build": "build", "dataset": "digits", "budget": {"luts": 9000.0}}
        change(summary)
        (folder / "build").symlink_to(build) if summary["build"] == "build" else None
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "explore.json").write_text('{"device": null}')
        (folder / "front.json").write_text('{"candidates": []}')
        return ["report", str(folder)]

    CASES[name] = make


_summary("x15_build_elsewhere", lambda s: s.update(build="/etc"))
_summary("x15_build_above", lambda s: s.update(build="../build"))
_summary("x15_build_is_a_link", lambda s: None)
_summary("x11_build_of_a_number", lambda s: s.update(build=7))
_summary("x11_budget_of_others", lambda s: s.update(build="none", budget={"cats": 9}))


def _model(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """A case of an area model, changed."""

    def make(folder: Path, build: Path) -> list[str]:
        from codesign.cost.area import model_file

        data = json.loads(json.dumps(model_file.to_dict(model_file.load())))
        change(data)
        (folder / "model.json").write_text(json.dumps(data))
        model = ["--area-model", str(folder / "model.json")]
        return ["explore", "--lut-budget", "9000", "--out", str(folder / "out"), *model]

    CASES[name] = make


def _luts(data: dict[str, Any]) -> dict[str, Any]:
    return data["resources"]["luts"]


_FLOW = {"factor": 1.0, "deviation": 0.1, "points": 3}
_model(
    "x18_factors_of_1e308", lambda d: _luts(d).update(factors=[1e308] * len(_luts(d)["factors"]))
)
_model("x18_unknown_flow", lambda d: d["flow"].update(cats=_FLOW))
_model("x18_flow_of_1e308", lambda d: d["flow"].update(luts={**_FLOW, "factor": 1e308}))
_model("x18_errors_of_nothing", lambda d: _luts(d).update(errors=[]))
_model("x18_short_centre", lambda d: _luts(d)["correction"]["centre_"].pop())
_model("x18_ranges_turned_round", lambda d: d["domain"]["ranges"].update(lanes=[64, 1]))
_model("x18_model_of_text", lambda d: d.update(rows="many", domain=[]))


def _report(name: str, text: str) -> None:
    """A case of ``calibrate`` with a report of a synthesis."""

    def make(folder: Path, build: Path) -> list[str]:
        (folder / "a.yaml").write_text(small_build.DESIGN)
        (folder / "b.yaml").write_text(small_build.DESIGN.replace("lanes: 2", "lanes: 4"))
        (folder / "a.rpt").write_text(text)
        (folder / "b.rpt").write_text("| Slice LUTs | 900 | x |")
        pairs = [f"{folder / n}.yaml={folder / n}.rpt" for n in "ab"]
        return ["calibrate", *pairs, "--out", str(folder / "model.json")]

    CASES[name] = make


def _cells(count: object) -> str:
    return json.dumps({"modules": {"npu": {"num_cells_by_type": {"LUT6": count}}}})


_report("x18_report_of_nan", _cells(float("nan")))
_report("x18_report_of_less_than_nothing", _cells(-5))
_report("x18_report_of_400_digits", f"| Slice LUTs | {'9' * 400} | x |")
_report("x18_report_of_digits_in_json", _cells(0).replace("0", "9" * 400))
_report("x18_report_of_points", "| Slice LUTs | 1.2.3 | x |")
_HEAD = "| Instance | Module | Total LUTs |\n"
_report("x18_report_of_points_by_instance", f"{_HEAD}| npu | (top) | 1.2.3 |")
_report("x18_report_of_400_digits_by_instance", f"{_HEAD}| npu | (top) | {'9' * 400} |")
_report("x18_report_of_modules_without_end", json.dumps({"modules": {
    f"m{n}": {"num_cells_by_type": {f"m{n + 1}": 10**9, "LUT6": 1}} for n in range(20_000)
}}))  # fmt: skip
_report("x11_report_of_modules_in_a_circle", json.dumps({"modules": {
    "npu": {"num_cells_by_type": {"a": 1}}, "a": {"num_cells_by_type": {"b": 1}},
    "b": {"num_cells_by_type": {"a": 1}},
}}))  # fmt: skip
_report("x11_report_of_a_list", '{"modules": []}')
_report("x11_report_of_text", '{"utilization": "much"}')
