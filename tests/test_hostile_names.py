"""Hostile names run nothing, break no file, and are refused in a sentence: the fast ways of chain.

``make names`` takes all of them, through Verilator, Yosys and nextpnr, too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from models.data import datasets
from models.errors import DatasetError
from models.importing.imports import network_name
from tests.hostile import chain
from tests.hostile.names import names


@pytest.mark.parametrize(
    ("way", "every"), [("text in a design", 1), ("design's name, built", 1), ("class", 12)]
)
def test_names_are_refused_or_harmless(way: str, every: int, tmp_path: Path) -> None:
    given = names()[::every]
    found = chain.follow(way, given, tmp_path)
    assert found.total() >= len(given)
    if every == 1:
        assert found[chain.REFUSED] > found[chain.HARMLESS] > 0


def test_a_name_that_runs_or_breaks_something_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: object, folder: Path):  # type: ignore[no-untyped-def]
        (folder / "marker").touch()
        yield chain.HARMLESS

    monkeypatch.setitem(chain.WAYS, "broken", broken)
    with pytest.raises(AssertionError, match="a name was run"):
        chain.follow("broken", names(), tmp_path)


def test_imported_networks_get_names_of_ours() -> None:
    for name in names():
        found = network_name(Path(f"{name}.onnx"))
        assert found.isascii()
        assert found.replace("_", "").replace("-", "").isalnum()
        assert found[0].isalpha()


def test_paths_of_data_sets_are_quoted(tmp_path: Path) -> None:
    for name in names():
        with pytest.raises(DatasetError) as caught:
            datasets.load(str(tmp_path / "none" / name))
        assert str(caught.value).isprintable()
