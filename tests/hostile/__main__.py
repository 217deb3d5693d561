"""Writes the corpus."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tests.codesign import small_build
from tests.hostile import CASES


def main(folder: Path) -> None:
    """Write every case to a folder of its own, and print the commands."""
    for name, case in CASES.items():
        place, build = folder / name / "files", folder / name / "build"
        place.mkdir(parents=True)
        small_build.write(build)
        sys.stdout.write(f"codesign {shlex.join(case(place, build))}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
