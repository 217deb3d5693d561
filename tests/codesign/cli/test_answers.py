"""Answers come before files: a failing write changes the exit status, not what was found."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from codesign.build import build_folder, verification
from codesign.cli import main
from codesign.cli.verbs import estimate
from codesign.cost.characterization import measuring
from codesign.results import Figures
from codesign.tools.processes import ToolError
from sim.simulator import SimulationError
from tests.codesign import named_build, small_build
from tests.codesign.cli.test_compare import ESTIMATE


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("answers") / "build")


@pytest.fixture
def unwritable(built, tmp_path) -> Path:
    """A build folder that takes no reports, for root neither: a file is in their folder's place."""
    folder = shutil.copytree(built, tmp_path / "build")
    shutil.rmtree(folder / "reports", ignore_errors=True)
    (folder / "reports").write_text("")
    return folder


def found(passed: bool) -> verification.Verification:
    return verification.Verification(
        figures=Figures(), passed=passed, bit_exact=passed, images=4, failure=None, mismatch=None,
        cycles_expected=7, cycles_simulated=7, layers=(), hardware={}, changed_files=(),
        simulator={"name": "fake"},
    )  # fmt: skip


@pytest.mark.parametrize("passed, status", [(True, 2), (False, 1)])
def test_verify_gives_its_verdict_where_no_report_can_be_written(
    unwritable, capsys, monkeypatch, passed, status
):
    monkeypatch.setattr(verification, "verify", lambda *a, **k: found(passed))
    for form in ([], ["--json"]):
        assert main(["verify", str(unwritable), "--images", "4", *form]) == status
        shown = capsys.readouterr()
        if form:
            assert json.loads(shown.out)["passed"] is passed
        else:
            assert ("4 images, bit-exact" in shown.out) is passed
        assert re.search(r"error: cannot write .*verification.json: .+\n$", shown.err)


@pytest.mark.parametrize("budget, status", [((), 2), (("--lut-budget", "1"), 1)])
def test_synth_gives_its_figures_where_no_report_can_be_written(unwritable, capsys, budget, status):
    assert main(["synth", str(unwritable), "--json", *budget]) == status
    shown = capsys.readouterr()
    assert json.loads(shown.out)["luts"] > 0
    assert re.search(r"error: cannot write .*synthesis.json: .+\n$", shown.err)


def test_reports_are_written_where_nobody_reads_the_answer(built, tmp_path):
    """As with ``codesign verify build | head -1``."""
    folder = shutil.copytree(built, tmp_path / "build")
    code = "import sys; from codesign.cli import main; sys.exit(main())"
    for verb, report in (("verify", "verification"), ("synth", "synthesis")):
        done = subprocess.run(
            f"{shlex.join([sys.executable, '-c', code, verb, str(folder)])} | true",
            shell=True, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (folder / "reports" / f"{report}.json").exists(), done.stderr


def test_evaluate_keeps_the_accuracy_when_the_simulation_fails(tmp_path, capsys, monkeypatch):
    def fails(*arguments, **options):
        raise SimulationError("it crashed")

    build = named_build.write(tmp_path)
    monkeypatch.setattr(verification, "verify_vectors", fails)
    monkeypatch.setattr(verification, "check_tools", lambda: None)
    command = ["evaluate", str(build), "--data-dir", str(tmp_path), "--simulate", "1", "--json"]
    assert main(command) == 1
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert answer["simulated"] == {"error": "it crashed"}
    assert answer["accuracy"]
    assert shown.err.endswith("error: it crashed\n")


def test_compare_shows_its_table_where_the_page_cannot_be_written(built, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    pages = [shutil.copytree(built, tmp_path / name) for name in ("a", "b")]
    for folder in pages:
        build_folder.add_report(folder, "estimate", {**ESTIMATE, "intervals": {}, "notes": []})
    command = ["compare", *map(str, pages), "--out", str(tmp_path / "file" / "page.html")]
    for form in ([], ["--json"]):
        assert main([*command, *form]) == 2
        shown = capsys.readouterr()
        assert json.loads(shown.out) if form else "cycles per image" in shown.out
        assert "file" in shown.err


def test_a_measurement_is_told_before_it_is_stored(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    config, found = SimpleNamespace(hash=12 * "a"), SimpleNamespace(row=SimpleNamespace(seconds=1))
    store = SimpleNamespace(rows={}, failures={}, fail=full)
    monkeypatch.setattr(measuring, "_told", lambda store, one: "luts 5")
    for outcome, expected in ((found, "luts 5"), ("no Yosys", "failed: no Yosys")):
        told: list[str] = []
        monkeypatch.setattr(measuring, "spread", lambda *a, o=outcome: iter([(config, o)]))
        with pytest.raises(OSError, match="No space left"):
            measuring.measure_all([config], store, 1, 1, told.append, lambda config: found, full)
        assert expected in told[-1]


@pytest.mark.parametrize("error", [ToolError, SimulationError])
def test_the_first_json_value_is_the_only_one(built, capsys, monkeypatch, error):
    def answer_and_fail(args, console):
        console.result({"luts": 1})
        raise error("afterwards")

    monkeypatch.setattr(estimate, "run", answer_and_fail)
    assert main(["estimate", str(built / "design.yaml"), "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"luts": 1}
    assert shown.err == "codesign: error: afterwards\n"


def test_memory_that_runs_out_is_told(built, capsys, monkeypatch):
    def grows(args, console):
        raise MemoryError

    monkeypatch.setattr(estimate, "run", grows)
    assert main(["estimate", str(built / "design.yaml"), "--json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"error": "memory ran out"}
    assert "codesign: error: memory ran out; resume with:" in shown.err
