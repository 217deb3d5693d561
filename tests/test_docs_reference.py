"""docs/reference/ says what the code says: generated blocks are fresh, listed names are real."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from codesign.build.verification import Verification
from codesign.results import OLD_OPTIONS, Figures
from docs.generate import layers, npu, outputs, pages, search, sources, verbs
from docs.generate.markdown import blocks, with_blocks
from models.graph.layers import OPS
from rtl_gen.config import NpuConfig
from tests.codesign import small_build
from tests.paths import DOCS, ROOT

REFERENCE, MEASUREMENTS = DOCS / "reference", DOCS / "measurements"
NAMES = re.compile(r"<!-- names: (\w+) -->\n((?:\|.*\n)+)")


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_generated_blocks_are_up_to_date(page: Path) -> None:
    assert pages.fresh(page) == page.read_text(), "run python -m docs.generate"


def test_every_generator_writes_a_page() -> None:
    used = [name for page in pages.pages() for name in blocks(page.read_text())]
    assert sorted(used) == sorted(pages.GENERATORS)
    assert {page.parent for page in pages.pages()} == {REFERENCE, MEASUREMENTS}


def test_what_stands_in_a_block_is_replaced() -> None:
    page = "a\n<!-- table: x -->\nold\n<!-- end -->\nb\n"
    assert with_blocks(page, {"x": lambda: "new\n"}) == page.replace("old", "new")
    with pytest.raises(KeyError):
        with_blocks(page, {})


def test_docstrings_become_markdown() -> None:
    assert (
        sources.prose("A ``word``\n  of docs/index.md.") == "A `word` of [index.md](../index.md)."
    )
    absent = "docs/" + "nothing.md"
    assert sources.prose(absent) == absent
    assert sources.summary("One thing. And\nanother.\n\nMore.") == "One thing"
    assert sources.allowed("x must be one of a, b, not 'c'") == "a, b"
    assert sources.allowed("must be a number in 1..2, not 'x'") == "1..2"


def test_hidden_options_stay_hidden() -> None:
    page = (REFERENCE / "cli.md").read_text()
    listed = set(re.findall(r"^\| `(--[\w-]+)`", page, re.MULTILINE))
    assert {name for name in verbs.names() if name.startswith("--")} - listed == {
        "--help",
        "--json",
    }
    assert not listed & {f"--{old}" for old in OLD_OPTIONS}


def test_shipped_spaces_are_the_listed_ones() -> None:
    assert f"one of {', '.join(search.SHIPPED)}" in search.unknown_space()


def test_every_key_is_explained() -> None:
    for name in ("search-options", "space", "npu", *outputs.GENERATORS):
        for row in pages.GENERATORS[name]().splitlines():
            assert not row.endswith("|  |"), f"{name}: {row}"


def test_summary_keys_are_those_that_are_written() -> None:
    assert set(outputs.summary_keys()) == set(outputs.SUMMARY)


def test_verification_keys_are_those_that_are_written() -> None:
    given: dict[str, Any] = dict.fromkeys(Verification.__dataclass_fields__)
    given |= {"figures": Figures(), "layers": (), "changed_files": ()}
    listed = set(re.findall(r"^\| `(\w+)`", outputs.verification(), re.MULTILINE))
    assert listed == set(Verification(**given).to_dict())


def test_layers_are_all_there() -> None:
    assert set(re.findall(r"^### `(\w+)`", layers.all_layers(), re.MULTILINE)) == set(OPS)


def test_refusals_come_from_every_rule_of_the_parameters() -> None:
    """Each kind of message of rtl_gen.parameters stands in the page but those of single ranges."""
    text = (ROOT / "rtl_gen" / "parameters.py").read_text()
    rules = text.count("raise ConfigError(") - 3  # type, choice and range of one parameter
    needs = text.count("_check_needs(values") - 1  # is called for several options
    assert len(npu.CONFLICTS) >= rules + needs - 1  # its own raise


# Tables that are written by hand and held to what is really written ---------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A build folder without a memory port, with one, and with feature maps in memory, too."""
    out = tmp_path_factory.mktemp("builds")
    kinds = ((0, 0), (32, 0), (32, 1))
    return [small_build.write(out / f"{port}-{tiles}", port, tiles) for port, tiles in kinds]


def listed(table: str) -> list[str]:
    """Names of the first column of a marked table of build-folder.md."""
    found = dict(NAMES.findall((REFERENCE / "build-folder.md").read_text()))[table]
    return [
        n for row in found.splitlines()[2:] for n in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]


def test_build_folder_holds_the_listed_files(folders: list[Path]) -> None:
    patterns = listed("files")
    written = {
        str(path.relative_to(folder))
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }
    later = {"reports/*.json", "report.html"}  # synth, verify and explore write them
    for pattern in set(patterns) - later:
        assert any(Path(path).match(pattern) for path in written), pattern
    for path in written:
        assert any(Path(path).match(pattern) for pattern in patterns), path


def test_program_json_has_the_listed_keys(folders: list[Path]) -> None:
    for folder in folders:
        program = json.loads((folder / "program.json").read_text())
        assert set(program) == set(listed("program"))
        assert set(program["hardware"]) == set(listed("hardware"))
        assert f"`format` is {program['format']};" in (REFERENCE / "build-folder.md").read_text()
        for body in program["programs"].values():
            assert set(body) == set(listed("programs"))
            for step in body["instructions"]:
                assert set(step) == set(listed("instructions"))
        keys = set(re.findall(r"^\| `(\w+)`", outputs.tensor_layout(), re.MULTILINE))
        optional = {"bands", "whole", "rows", "digit_words"}
        for layout in program["tensors"].values():
            assert keys - optional <= set(layout) <= keys


def test_defaults_are_a_configuration() -> None:
    """The table's defaults are what NpuConfig() is."""
    rows = re.findall(r"^\| `(\w+)` \| `([\w:]+)` \|", npu.parameters(), re.MULTILINE)
    assert dict(rows) == {k: str(v).lower() for k, v in vars(NpuConfig()).items()}
