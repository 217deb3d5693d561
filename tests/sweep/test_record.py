"""The sweep's record survives kills, and results made with other sources do not count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.results import UserError
from tests import paths
from tests.sweep.record import JUDGED, Record, judged_files, sources_hash
from tests.sweep.summary import summarise, text


def line(seed: int, failure: str | None = None) -> dict[str, object]:
    return {
        "seed": seed, "failure": failure, "npu": {"pixels": 2, "lanes": 3, "columns": 6},
        "layers": ["image: 1x2x2"] * (seed + 1), "knobs": {"pixels": ["2"]},
        "refused": ["weight_depth"], "too_long": 1, "layers_compared": 5,
        "instructions_compared": 7, "clocks": 100, "stall_cycles": 10,
        "seconds": {"all": 2.0, "cpu": 1.0}, "smaller": None,
    }  # fmt: skip


@given(cut=st.integers(1, 200))
def test_a_line_cut_short_by_a_kill_is_run_again(cut: int, tmp_path_factory) -> None:
    record = Record(tmp_path_factory.mktemp("sweep") / "sweep.jsonl", "abc")
    for seed in (3, 1, 2):
        record.append(line(seed))
    whole = record.path.read_bytes()
    record.path.write_bytes(whole[:-cut])
    assert [one["seed"] for one in record.read()] == [1, 3]
    record.append(line(2))
    assert [one["seed"] for one in record.read()] == [1, 2, 3]
    assert all(json.loads(text_line) for text_line in record.path.read_text().splitlines())


def test_results_of_other_sources_are_kept_but_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    Record(path, "old").append(line(1))
    Record(path, "new").append(line(2))
    assert [one["seed"] for one in Record(path, "new").read()] == [2]
    assert [one["seed"] for one in Record(path, "old").read()] == [1]
    assert len(sources_hash()) == 12


def test_the_hash_covers_every_file_of_compiler_generator_and_reference() -> None:
    for pattern in JUDGED:
        assert list(paths.ROOT.glob(pattern)), f"{pattern} names no file"
    judged = set(judged_files())
    for room in ("codesign/compiler", "models", "rtl_gen", "sim"):
        assert set((paths.ROOT / room).rglob("*.py")) <= judged, room


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"a": 1}\n')
    with pytest.raises(UserError, match=r"other\.jsonl:1 is no line of a sweep"):
        Record(path, "abc").read()


def test_the_summary_counts_and_names_the_smallest_failure_first() -> None:
    crashed = {"seed": 9, "failure": "IndexError: list index out of range"}
    found = summarise([line(1), line(5, "five"), line(3, "three"), crashed])
    assert (found["cases"], found["failed"], found["layers_compared"]) == (4, 3, 15)
    assert (found["refused"], found["too_long"], found["largest_macs"]) == (
        {"weight_depth": 3}, 3, 36,
    )  # fmt: skip
    assert found["refused_share"] == pytest.approx(0.3)
    assert found["covered"] == {"pixels": {"2": 3}}
    shown = text(found)
    assert shown.index("IndexError") < shown.index("--only 3") < shown.index("--only 5")
