"""Damaged files for every reader: none may end in anything but an error that names the file.

``python -m tests.fuzz [READER ...] [--seconds S] [--seed N]``, or ``make fuzz``. Hypothesis damages
good files: bytes and, in JSON and YAML, values. A reader must return or raise one of the errors
that the command line ends with status 2 on, within MOST_SECONDS and MOST_BYTES.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from codesign.cli.main import USER_ERRORS
from codesign.results import InfeasibleError
from tests.fuzz.readers import READERS
from tests.fuzz.trees import FORMS

MOST_SECONDS = 10.0
"""Of processor time."""
MOST_BYTES = 3 << 30
"""Of the whole process, with torch and everything that it has read before."""
EXAMPLES = 50
"""Examples of one round; rounds follow each other until the time is up."""
ALLOWED = (*USER_ERRORS, InfeasibleError)
TOKENS = (
    b"", b"\x00", b"\xff\xff\xff\xff", b"\x80", b"\n", b"-1", b"1e999", b"NaN", b"null", b"[", b"{",
    b'"', b"&a [*a]", b"!!int x", b"9" * 30, b"9" * 5000, b"[" * 200, b"\xed\xa0\x80",
    b"PK\x03\x04", b"../", b"\x1b[2J", b"e308", b"0x", b": ", b",",
)  # fmt: skip
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 3, 10**17, 1e300, -0.5, "", "x", "\x1b[2J", "../a", [], {}, [[]], [1, "a"],
     {"a": None}, [0] * 300]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, good: bytes, name: str) -> bytes:
    """A good file with some of its bytes replaced, removed or repeated, or of its values."""
    form = FORMS.get(Path(name).suffix)
    if form and draw(st.booleans()):
        trees, as_bytes = form[0](good), form[1]
        for _ in range(draw(st.integers(1, 3))):
            _damage(draw, draw(st.sampled_from(trees)))
        return as_bytes(trees)
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((0, 1, 2, 4, 8, 64, len(data))))
        piece = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        data[at : at + length] = piece + bytes(data[at : at + draw(st.sampled_from((0, 0, 4, 64)))])
    return bytes(data)


def _damage(draw: st.DrawFn, content: Any) -> None:
    """Replace or remove one value at a random place of a JSON tree."""
    parent = content
    while isinstance(parent, dict | list) and parent:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        key = draw(st.sampled_from(keys))
        child = parent[key]
        if isinstance(child, dict | list) and child and draw(st.integers(0, 3)):
            parent = child
            continue
        if draw(st.integers(0, 3)):
            parent[key] = copy.deepcopy(draw(ODD))
        else:
            del parent[key]
        return


def fuzz(name: str, seconds: float, start_seed: int) -> int:
    """Damage files for one reader until the time is up; return the number of examples."""
    reader, count = READERS[name], 0
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="codesign-fuzz-") as place:
        folder = Path(place)
        files = reader.prepare(folder)
        while time.monotonic() < end:
            count += _round(reader.read, folder, files, start_seed + count, end)
    return count


def _round(
    read: Callable[[Path], Any], folder: Path, files: dict[str, bytes], number: int, end: float
) -> int:
    count = 0

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def example(data: st.DataObject) -> None:
        nonlocal count
        name = data.draw(st.sampled_from(sorted(files)), "file")
        content = data.draw(damaged(files[name], name), "content")
        if time.monotonic() > end:
            return
        path = folder / name
        for other in files:  # what the reader wrote, too
            (folder / other).write_bytes(files[other])
        path.write_bytes(content)
        count += 1
        start = time.process_time()
        with contextlib.suppress(*ALLOWED):
            read(folder)
        assert time.process_time() - start < MOST_SECONDS, "took too long"
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        assert used < MOST_BYTES, "took too much memory"

    example()
    return max(count, 1)


def main() -> int:
    """Run the command line; return 1 if a reader failed."""
    parser = argparse.ArgumentParser(description="Damage files for every reader.")
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(READERS))
    parser.add_argument("--seconds", type=float, default=600, help="for each reader (default: 600)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    unknown = set(chosen.readers) - set(READERS)
    if unknown:
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    failed = 0
    for name in chosen.readers or READERS:
        try:
            count = fuzz(name, chosen.seconds, chosen.seed)
            sys.stdout.write(f"{name}: {count} files, no other error\n")
        except Exception as error:  # noqa: BLE001 - whatever a reader lets through is the finding
            failed += 1
            notes = "\n".join(getattr(error, "__notes__", ()))
            sys.stdout.write(f"{name}: {type(error).__name__}: {error}\n{notes}\n")
            import traceback

            traceback.print_exc()
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
