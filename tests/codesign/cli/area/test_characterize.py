"""``codesign characterize``: what it asks for, what it says, how it ends."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from codesign.cli.main import main
from codesign.cli.verbs.area import characterize as verb
from codesign.cost.characterization import placements
from codesign.cost.characterization.characterize import Measurement
from codesign.cost.characterization.placements import Placed
from codesign.cost.data import dataset, timing_data
from codesign.cost.data.dataset import Row
from codesign.cost.data.timing_data import TimingRow
from codesign.fpga.nextpnr import NextpnrError
from codesign.fpga.yosys import YosysError
from rtl_gen.config import NpuConfig


def fake(config: NpuConfig, timeout_s: float) -> Measurement:
    if config.pixels == 1:
        raise YosysError(f"took longer than {timeout_s:g} s")
    row = Row(config, 2000.0, 20.0, 900.0, 1.5, 0.0, "0" * 12, "fake 1", "2026-01-01", 2.0)
    return Measurement(row, ())


def fake_placed(config: NpuConfig, timeout_s: float) -> Placed:
    if config.lanes == 2:
        raise NextpnrError("fake 1 ended with status 1; its log ends:\nERROR: out of sites")
    return Placed(TimingRow(config, 4000.0, 111.5, "0" * 12, "fake 1", "2026-01-01", timeout_s))


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "measure", fake)
    monkeypatch.setattr(placements, "measure", fake_placed)


def run(*arguments: object) -> int:
    return main(["characterize", *map(str, arguments), "--jobs", "1"])


def test_failures_are_told_and_not_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    assert run("--count", 12, "--data", data, "--timeout", 7, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == len(dataset.read(data))
    assert told["rows"] + len(told["failures"]) == 12
    assert {failure["reason"] for failure in told["failures"]} == {"took longer than 7 s"}
    assert run("--count", 12, "--data", data) == 0
    assert "0 to do" in capsys.readouterr().out
    assert run("--count", 12, "--data", data, "--retry") == 1


def test_near_a_budget_only_designs_that_it_decides_are_taken(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    rows = [dataclasses.replace(row, tool="fake 1") for row in dataset.read()]
    dataset.write(data, rows)
    assert run("--count", len(rows) + 4, "--near", 5000, "--data", data) in (0, 1)
    new = {row.config.hash for row in dataset.read(data)} - {row.config.hash for row in rows}
    assert 0 < len(new) <= 4


def test_placing_goes_through_the_smaller_npus_of_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    rows = [row for row in dataset.read() if row.luts < 2500]
    dataset.write(data, rows)
    small = {row.config.hash for row in rows if row.luts <= 2000}
    refused = {row.config.hash for row in rows if row.luts <= 2000 and row.config.lanes == 2}
    assert run("--place", len(small), "--max-luts", 2000, "--timeout", 9, "--data", data) == 1
    assert "out of sites" in capsys.readouterr().out
    path = timing_data.beside(data)
    failed = path.with_name(f"{path.stem}_failures.csv")
    assert failed.read_text().count("its log ends: | ERROR: out of sites") == len(refused)
    found = timing_data.read(path)
    assert {row.config.hash for row in found} == small - refused
    assert {row.seconds for row in found} == {9.0}
    assert run("--place", len(small), "--max-luts", 2000, "--data", data, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["data"], told["rows"]) == (str(path), len(found))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "0"], "must be an integer >= 1"),
        (["--near", "10"], "must be a number >= 1000"),
        (["--timeout", "soon"], "must be a number"),
        (["--place", "3", "--count", "160"], "not allowed with"),
        (["--place", "3", "--near", "5000"], "--near chooses what to synthesise"),
        (["--place", "3", "--seed", "0"], "--seed chooses what to synthesise"),
    ],
)
def test_bad_options_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_bad_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.csv"
    data.write_text("pixels\n1\n")
    assert run("--data", data) == 2
    assert "wrong columns" in capsys.readouterr().err
    assert data.read_text() == "pixels\n1\n"
