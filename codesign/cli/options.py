"""Argument types and options that several verbs share."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from codesign.build import build_folder, built, imported, manifest
from codesign.build.built import BuiltNetwork
from codesign.build.imported import ImportedDesign
from codesign.cli.console import Console
from codesign.design import Design
from codesign.results import STUDY, UserError
from models.files import reading
from models.files.reading import FileError
from rtl_gen import naming

BAD_INPUT = 2
"""Exit status for bad input, a missing tool, and an answer that could not be written."""


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return an argparse type for a finite number in low..high, both included."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"must be a number {_range(low, high)}, not {text!r}")
        return value

    return convert


def integer(low: int, high: float = math.inf) -> Callable[[str], int]:
    """Return an argparse type for an integer in low..high, both included."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"must be an integer {_range(low, high)}, not {text!r}"
            )
        return value

    return convert


def _range(low: float, high: float) -> str:
    return f">= {low:g}" if high == math.inf else f"in {low:g}..{high:g}"


def design_file(parser: argparse.ArgumentParser, *, or_network: bool = False) -> None:
    """Add the positional argument of verbs that take a design file.

    or_network: they take a network folder, too.
    """
    parser.add_argument(
        "design",
        type=Path,
        metavar="DESIGN.yaml",
        help="design file: network, bit widths, data set and NPU configuration in YAML, such as "
        "examples/digits_tiny.yaml"
        + ("; or a network folder written by codesign import" if or_network else ""),
    )


def build_argument(parser: argparse.ArgumentParser, *, or_network: bool = False) -> None:
    """Add the positional argument of verbs that take a build folder.

    or_network: they take a network folder, too.
    """
    parser.add_argument(
        "build",
        type=Path,
        metavar="BUILD_DIR",
        help="build folder written by codesign build, or by codesign explore in OUT/build/"
        + ("; or a network folder written by codesign import" if or_network else ""),
    )


def device(parser: argparse._ActionsContainer, use: str) -> None:
    """Add ``--device``, a part of constraints/devices.yaml.

    use: help text that says what the verb uses the part for, and the default.
    """
    parser.add_argument(
        "--device",
        metavar="NAME",
        help=f"FPGA part, such as xc7a50t or lfe5u-85f (all: constraints/devices.yaml): {use}",
    )


def prefix(parser: argparse._ActionsContainer) -> None:
    """Add ``--prefix``, the start of the names of all Verilog modules."""
    parser.add_argument(
        "--prefix",
        metavar="TEXT",
        help="start of the names of all Verilog modules, the top included, for several NPUs in one "
        f"project: letters, digits and _, at most {naming.LONGEST_PREFIX}, no digit first "
        f"(default: none; the top is {naming.TOP})",
    )


def data_dir(parser: argparse._ActionsContainer) -> None:
    """Add ``--data-dir``."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder with the data set's files (default: none; the data set digits needs none)",
    )


def storage(parser: argparse._ActionsContainer, *, required: bool = False) -> None:
    """Add ``--storage`` and ``--study``, which say where a search's trials are. Not given: None."""
    parser.add_argument(
        "--storage",
        required=required,
        metavar="PLACE",
        help="trials of the search, which workers share: the path of a journal, or a URL of "
        "sqlite, postgresql or mysql; a password is better left to PGPASSWORD or ~/.pgpass "
        f"({'required' if required else 'default: trials.journal in --out'})",
    )
    parser.add_argument(
        "--study",
        metavar="NAME",
        help=f"name of the search's study in the storage (default: {STUDY})",
    )


def boo(parser: argparse._ActionsContainer, default: float | None = None) -> None:
    """Add ``--boo``, the weight of one-bits in the training loss, with this default."""
    parser.add_argument(
        "--boo",
        type=number(0, 1000),
        default=default,
        metavar="FACTOR",
        help="factor of the one-bits per weight in the training loss, 0 to 1000: higher gives "
        "weights with fewer bits set (default: 0)",
    )


def timeout(parser: argparse.ArgumentParser, what: str, default_s: float) -> None:
    """Add ``--timeout``, the time limit in seconds on all external tools together.

    what: the steps that it limits, for the help text.
    """
    parser.add_argument(
        "--timeout",
        type=number(1),
        default=default_s,
        metavar="SECONDS",
        help=f"time limit in seconds on {what}, together; exit status 1 when it is over "
        f"(default: {default_s:g})",
    )


def add_reports(folder: Path, reports: Mapping[str, object], console: Console) -> int:
    """Add reports (name -> content) to a build folder, after the answer, printed or not.

    Returns the exit status: 0, or BAD_INPUT, with a warning, where they cannot be written.
    """
    try:
        for name, content in reports.items():
            build_folder.add_report(folder, name, content)
    except UserError as error:
        console.warn(f"error: {error}")
        return BAD_INPUT
    return 0


def memory(parser: argparse._ActionsContainer) -> None:
    """Add ``--max-memory``, which ``memory_allowed`` obeys."""
    parser.add_argument(
        "--max-memory",
        type=_size,
        metavar="SIZE",
        help="most memory that the arrays of one file or data set may take, in bytes or with K, M "
        f"or G, such as 8G (default: ${reading.MEMORY_VARIABLE}, else "
        f"{reading.MAX_MEMORY >> 30}G)",
    )


def _size(text: str) -> int:
    try:
        return reading.parse_size(text, "SIZE")
    except FileError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("SIZE: ")) from None


@contextlib.contextmanager
def memory_allowed(size: int | None) -> Iterator[None]:
    """Let the arrays of a file take ``size`` bytes in the ``with`` block; None changes nothing.

    It holds for the processes that are started in it, too.
    """
    before = os.environ.get(reading.MEMORY_VARIABLE)
    if size is not None:
        os.environ[reading.MEMORY_VARIABLE] = str(size)
    try:
        yield
    finally:
        if before is not None:
            os.environ[reading.MEMORY_VARIABLE] = before
        elif size is not None:
            del os.environ[reading.MEMORY_VARIABLE]


def trust(parser: argparse._ActionsContainer) -> None:
    """Add ``--trust``, for verbs that give the Verilog of a build folder to tools."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="let tools have Verilog that is not plain hardware, which may run commands and write "
        "files: only for folders from people you trust",
    )


def load_build(folder: Path) -> Design | ImportedDesign:
    """Load the design of a build folder. Raises UserError for any other folder, YamlError."""
    if not manifest.is_build(folder):
        raise UserError(f"{folder} is not a build folder; codesign build writes one")
    return imported.load(folder / "design.yaml")


def load_network(folder: Path, warn: Callable[[str], None]) -> BuiltNetwork:
    """Load the integer network of a build folder, and warn of files changed since the build.

    warn: called with a sentence for each of them. Raises as built.load does.
    """
    network = built.load(folder)
    if not manifest.is_build(folder):  # a network folder, which has no manifest
        return network
    for path in manifest.changed_files(folder):
        warn(f"{path} was changed or removed after the build")
    return network
