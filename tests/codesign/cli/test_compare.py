"""``codesign compare``: builds and searches side by side, as text, as JSON and as a page."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from codesign import design as designs
from codesign.build import build_folder
from codesign.cli import main
from codesign.report import Candidate, charts
from tests.codesign import small_build

ESTIMATE = {"luts": 2000.0, "brams": 1.5, "cycles_per_image": 1000, "images_per_second": 50000.0}


def build(
    folder: Path, accuracy: dict[str, object], *, luts: int | None = None, dataset: str = "digits"
) -> Path:
    """Write a build folder with reports as ``build``, ``synth`` and ``verify`` leave them."""
    small_build.write(folder)
    text = (folder / "design.yaml").read_text()
    (folder / "design.yaml").write_text(text.replace("name: digits", f"name: {dataset}"))
    assert designs.load(folder / "design.yaml").dataset.name == dataset
    build_folder.add_report(folder, "accuracy", accuracy)
    build_folder.add_report(folder, "estimate", {**ESTIMATE, "intervals": {}, "notes": []})
    if luts is not None:
        figures = {"luts": luts, "brams": 1.5, "dsps": 0}
        build_folder.add_report(folder, "synthesis", {"figures": figures})
    return folder


NEW = {
    "validation": 0.95,
    "test": 0.9,
    "scores": {"test": {"share": 0.9, "images": 360, "low": 0.86, "high": 0.93}},
}
OLD = {"validation": 0.95, "test": 0.8}
"""As release 0.2 wrote it."""
FRONT = (
    Candidate("net-a", 0.99, 1200, 28500, on_front=True),
    Candidate("net-b", 0.98, 5400, 21000, on_front=True, chosen=True),
    Candidate("net-c", 0.90, 1000, 29000),
)


def search(
    folder: Path,
    front: tuple[Candidate, ...] = FRONT,
    *,
    dataset: str = "digits",
    built: bool = True,
) -> Path:
    """Write what a search leaves, as far as it is compared."""
    folder.mkdir(parents=True)
    if built:
        build(folder / "build" / "small", NEW, luts=2100, dataset=dataset)
    summary = {
        "dataset": dataset,
        "build": "build/small" if built else None,
        "problem": None if built else "the budget is missed",
    }
    files = {
        "explore.json": {"format": "codesign explore 1"},
        "summary.json": summary,
        "front.json": {"candidates": [dataclasses.asdict(one) for one in front]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def rows(out: str) -> dict[str, list[str]]:
    """The first table's cells behind each title."""
    found = {}
    for line in out.partition("\n\n")[0].splitlines()[2:]:
        title, *cells = (cell for cell in line.split("  ") if cell)
        found[title] = [cell.strip() for cell in cells]
    return found


def test_builds_of_this_release_and_of_an_older_one_stand_side_by_side(tmp_path, capsys):
    new = build(tmp_path / "new", NEW, luts=2100)
    old = build(tmp_path / "old", OLD)
    assert main(["compare", str(new), str(old)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["new", "old"]
    assert rows(out) == {
        "design": ["small", "small"],
        "data set": ["digits", "digits"],
        "test accuracy": ["90.00 % of 360 images", "80.00 %"],
        "images per second": ["50,000 (estimate)"] * 2,
        "cycles per image": ["1,000 (estimate)"] * 2,
        "LUTs": ["2,100 (estimate 2,000)", "2,000 (estimate)"],
        "block RAMs (36 Kb)": ["1.5", "1.5 (estimate)"],
        "DSP slices": ["0", "—"],
        "array": ["2 x 2 x 4, 2-bit digits"] * 2,
        "bits": ["w4 a4"] * 2,
    }


def test_fronts_say_which_designs_another_search_beats(tmp_path, capsys):
    better = dataclasses.replace(FRONT[0], label="net-z", luts=28000)
    first, second = search(tmp_path / "a"), search(tmp_path / "b", (better,))
    same = search(tmp_path / "same", (FRONT[1],))
    assert main(["compare", str(first), str(second), str(same), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    one, two, three = told["runs"]
    assert told["notes"] == []
    assert [(c["label"], c["dominated_by"]) for c in one["front"]] == [
        ("net-a", ["b"]),
        ("net-b", []),  # the same design elsewhere beats none
    ]
    assert two["front"][0]["dominated_by"] == three["front"][0]["dominated_by"] == []
    assert one["test_accuracy"] == {"share": 0.9, "images": 360}
    assert one["synthesised"]["luts"] == 2100
    assert one["estimate"] == ESTIMATE
    assert one["array"] == {"pixels": 2, "lanes": 2, "columns": 4}
    assert main(["compare", str(first), str(second)]) == 0
    out = capsys.readouterr().out
    assert rows(out)["designs on the front"] == ["2", "1"]
    assert rows(out)["of these beaten by another run"] == ["1 (by b)", "0"]
    assert "net-b (chosen)" in out
    assert "net-c" not in out


def test_mixed_data_sets_are_said_and_their_fronts_not_compared(tmp_path, capsys):
    better = dataclasses.replace(FRONT[0], luts=1)
    first = search(tmp_path / "a")
    second = search(tmp_path / "b", (better,), dataset="fashion-mnist")
    assert main(["compare", str(first), str(second)]) == 0
    out = capsys.readouterr().out
    assert "note: the runs are on different data sets (digits, fashion-mnist)" in out
    assert rows(out)["of these beaten by another run"] == ["0", "0"]


def with_data(folder: Path, sha256: str) -> Path:
    """Record the content of a search's data set."""
    path = folder / "explore.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_sha256": sha256}))
    return folder


def test_data_sets_are_told_apart_by_content_where_it_is_known(tmp_path, capsys):
    better = dataclasses.replace(FRONT[0], luts=1)
    first, second = with_data(search(tmp_path / "a"), "1"), search(tmp_path / "b", (better,))
    moved = with_data(search(tmp_path / "c", (better,), dataset="elsewhere/digits"), "1")
    assert main(["compare", str(first), str(with_data(second, "2")), str(moved), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"][0]["front"][0]["dominated_by"] == ["c"]
    assert told["notes"][0].startswith("the runs are on different data sets (digits, elsewhere")
    assert main(["compare", str(first), str(second)]) == 0
    assert "different data (digits of a is not that of b); their" in capsys.readouterr().out
    assert main(["compare", str(first), str(moved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_resources_of_two_families_are_told_apart(tmp_path, capsys):
    folders = [build(tmp_path / name, NEW, luts=2100) for name in "ab"]
    for folder, family in zip(folders, ("xc7", "ecp5"), strict=True):
        figures = {"figures": {"luts": 2100}, "family": family}
        build_folder.add_report(folder, "synthesis", figures)
    assert main(["compare", *map(str, folders)]) == 0
    assert "resources are of different FPGA families (ecp5, xc7)" in capsys.readouterr().out


def test_a_search_that_built_nothing_shows_its_front_and_its_problem(tmp_path, capsys):
    first, failed = search(tmp_path / "a"), search(tmp_path / "b", built=False)
    assert main(["compare", str(first), str(failed)]) == 0
    out = capsys.readouterr().out
    assert rows(out)["design"] == ["small", "—"]
    assert rows(out)["designs on the front"] == ["2", "2"]
    assert "note: b: the budget is missed" in out


def test_folders_of_the_same_name_are_told_apart(tmp_path, capsys):
    folders = [search(tmp_path / parent / "run") for parent in ("a", "b")]
    assert main(["compare", *map(str, folders), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in told["runs"]] == [str(folder) for folder in folders]


def test_the_page_holds_table_chart_and_nothing_from_elsewhere(tmp_path, capsys):
    folders = [search(tmp_path / name) for name in ("<b>a", "b", "c")]
    page = tmp_path / "page.html"
    assert main(["compare", *map(str, folders), "--out", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"page: {page}\n")
    text = page.read_text()
    assert "<h1>Comparison of 3 runs</h1>" in text
    assert "&lt;b&gt;a" in text
    assert "<b>a" not in text
    assert "90.00 % of 360 images" in text
    assert "http" not in text
    svg = text[text.index("<svg") : text.index("</svg>") + len("</svg>")]
    drawn = [element.get("class") for element in ElementTree.fromstring(svg).iter("circle")]
    for run in ("run0", "run1", "run2"):
        assert drawn.count(f"dot {run} short") == 2
        assert drawn.count(f"ring {run}") == 1
        assert f'<i class="legend {run}"></i>' in text


def test_a_chart_of_builds_alone_has_rings_alone(tmp_path):
    folders = [build(tmp_path / name, NEW, luts=2100) for name in "ab"]
    page = tmp_path / "page.html"
    assert main(["compare", *map(str, folders), "--out", str(page)]) == 0
    assert "ring run1" in page.read_text()
    assert "Designs on the fronts" not in page.read_text()


def test_more_runs_than_colours_start_again():
    one = Candidate("a", 0.9, 100.0, 1000.0)
    drawn = charts.fronts([((one,), None)] * (charts.COLOURS + 1))
    assert drawn.count('class="dot run0 short"') == 2
    assert f"run{charts.COLOURS}" not in drawn


@pytest.mark.parametrize("damage", ["missing", "empty", "file", "half", "list", "keys"])
def test_bad_folders_are_named(tmp_path, capsys, damage):
    good, bad = search(tmp_path / "good"), tmp_path / "bad"
    if damage == "empty":
        bad.mkdir()
    elif damage == "file":
        bad.write_text("")
    elif damage != "missing":
        search(bad)
        text = {"half": "{", "list": "[]", "keys": "{}"}[damage]
        (bad / "summary.json").write_text(text)
    assert main(["compare", str(good), str(bad), "--out", str(tmp_path / "page.html")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"codesign: error: {bad}")
    assert not (tmp_path / "page.html").exists()


def test_one_folder_alone_is_refused(tmp_path, capsys):
    good = search(tmp_path / "good")
    assert main(["compare", str(good)]) == 2
    assert "compare needs two or more folders" in capsys.readouterr().err
