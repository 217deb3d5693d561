"""Rows of CSV files from elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from models.files.reading import TEXT_BYTES, FileError, escaped, read_text


def read_csv(path: Path, limit: int = TEXT_BYTES) -> list[list[str]]:
    """Return the cells of a CSV file's rows, none for an empty line.

    Raises FileError: unreadable, not UTF-8, larger than ``limit`` bytes, no CSV.
    """
    text = read_text(path, limit)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(lines)
    except csv.Error as error:
        raise FileError(f"{escaped(str(path))}:{lines.line_num}: is not CSV: {error}") from None


def wrong_columns(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Return what is wrong with the columns of a table, without quoting what it holds.

    >>> wrong_columns(("lanes", "x"), ("lanes", "columns"))
    'wrong columns: missing columns; 1 unknown'
    """
    missing = ", ".join(name for name in wanted if name not in found)
    unknown = len(set(found) - set(wanted))
    told = [f"missing {missing}"] if missing else []
    told += [f"{unknown} unknown"] if unknown else []
    told = told or [f"the order must be {', '.join(wanted)}"]
    return f"wrong columns: {'; '.join(told)}"
