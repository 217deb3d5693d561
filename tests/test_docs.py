"""The documentation holds: commands parse, links lead somewhere, runnable blocks run.

A fenced block whose first line is ``# runnable`` is executed, Python or shell, in an empty folder.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesign import design
from codesign.cli.main import VERBS, parser
from codesign.cli.search_options import merge
from tests.paths import DOCS, ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> Iterator[tuple[str, str, str]]:
    """(page:line, language, text) of every fenced block."""
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            line = text[: match.start()].count("\n") + 1
            yield f"{page.relative_to(ROOT)}:{line}", match[1], match[2]


RUNNABLE = [block for block in blocks() if block[2].startswith("# runnable")]
HELP = [(f"{verb.NAME} --help", "", verb.EXAMPLES) for verb in VERBS]
COMMANDS = [
    (where, line.strip())
    for where, _, text in (*blocks(), *HELP)
    for line in text.replace("\\\n", " ").splitlines()
    if line.strip().startswith("codesign ")
]


@pytest.mark.parametrize("where, language, text", RUNNABLE, ids=[block[0] for block in RUNNABLE])
def test_runnable_blocks_run(where, language, text, tmp_path):
    command = {"python": [sys.executable, "-c"], "sh": ["bash", "-euc"]}[language]
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, text],
        cwd=tmp_path,
        env={**os.environ, "PATH": tools, "EXAMPLES": str(ROOT / "examples")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    "where, line", COMMANDS, ids=[f"{c[0]}-{i}" for i, c in enumerate(COMMANDS)]
)
def test_commands_parse(where, line):
    """argparse exits on what it does not know, which fails the test with its message."""
    parser().parse_args(shlex.split(line.partition(" #")[0])[1:])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?[^)]*\)", page.read_text()):
        if "://" not in target:
            file = page.parent / target if target else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor[1:] in anchors(file), f"{page.name}: {target}{anchor}"


CODE = ("codesign", "models", "rtl_gen", "sim", "benchmarks", "examples", "tests", "docs/generate")
NAMED = re.compile(r"\bdocs/[\w/-]+\.(?:md|svg)\b")


@pytest.mark.parametrize("folder", CODE)
def test_code_names_pages_that_exist(folder):
    kinds = ("*.py", "*.yaml", "*.v")
    files = [file for kind in kinds for file in sorted((ROOT / folder).rglob(kind))]
    assert files
    lost = {
        f"{file.relative_to(ROOT)}: {page}"
        for file in files
        for page in NAMED.findall(file.read_text())
        if not (ROOT / page).exists()
    }
    assert not lost


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in links: lower case, dashes for spaces, words alone."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_index_lists_every_page():
    index = (DOCS / "index.md").read_text()
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#\s]+\.md)\)", index)}
    assert set(DOCS.rglob("*.md")) - {DOCS / "index.md"} <= linked


def pages_of(kind: str) -> list[Path]:
    found = sorted((DOCS / kind).glob("*.md"))
    assert found
    return found


DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")
SOURCE = re.compile(
    r"^> " + r" · ".join(rf"\*\*{what}\*\* .+" for what in ("Command", "Date", "Tools", "Machine")),
    re.MULTILINE,
)


@pytest.mark.parametrize("kind", ["reference", "explanation"])
def test_dates_stand_with_measurements_and_decisions_alone(kind):
    dated = {page.name: DATE.findall(page.read_text()) for page in (DOCS / kind).glob("*.md")}
    assert not {name: dates for name, dates in dated.items() if dates}


@pytest.mark.parametrize("page", pages_of("measurements"), ids=lambda page: page.name)
def test_measured_tables_say_where_they_come_from(page):
    """Each section with a table of figures; what compares methods in words needs no source."""
    for section in re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE)[1:]:
        head, _, body = section.partition("\n")
        if re.search(r"^\|.*\d.*\|$", body, re.MULTILINE) and head != "How it is measured":
            assert SOURCE.search(body), f"{page.name}: {head}"


@pytest.mark.parametrize("page", pages_of("decisions"), ids=lambda page: page.name)
def test_decisions_have_one_form(page):
    text = page.read_text()
    number = f"{pages_of('decisions').index(page) + 1:04d}"
    assert page.name.startswith(f"{number}-")
    assert text.startswith(f"# {number}. ")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert heads == ["Context", "Decision", "Consequence"]


def test_the_changelog_starts_with_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    releases = re.findall(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert releases[0] == project["version"]


def test_examples_load():
    assert design.load(ROOT / "examples" / "digits_tiny.yaml").npu.macs == 32
    assert merge(ROOT / "examples" / "search.yaml", {}).budget().luts == 12000


def test_there_is_something_to_check():
    assert len(COMMANDS) > 5
