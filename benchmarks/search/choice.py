"""Measure what ``codesign explore`` chooses on digits: accuracy, throughput, area and time.

``python -m benchmarks.search.choice [--json] [--seeds N ...] [--finish K] [--out DIR]
[--source DIR]``

One search for each seed, one after the other, each with a cache of its own so that every synthesis
is done. A search that is finished in --out is only read; one that was interrupted goes on, and then
its times are of the last part alone. --finish: networks trained in full, by default as ``explore``
has it. --source: another checkout to run, such as one of before.
Columns:

- seed
- validation, test: accuracy of the integer network, 0..1
- images_per_second, luts, brams: of the chosen design; simulated, synthesised
- trained_fully: networks that were trained in full
- wall_seconds, cpu_seconds: of the whole search, tools included
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LUT_BUDGET = 30_000
COLUMNS = ("seed", "validation", "test", "images_per_second", "luts", "brams", "trained_fully",
           "wall_seconds", "cpu_seconds")  # fmt: skip
CPU = "cpu_seconds.json"
"""File beside the search that keeps its processor time."""


def rows(
    seeds: Sequence[int], out: Path, source: Path, options: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield one row for each seed, of searches with more ``options`` of ``explore``.

    Raises CalledProcessError when a search fails.
    """
    for seed in seeds:
        folder = out / f"seed{seed}"
        if not _is_finished(folder):
            _search(seed, folder, source, options)
        yield row(json.loads((folder / "summary.json").read_text()), _cpu_seconds(folder))


def row(summary: dict[str, Any], cpu_seconds: float | None) -> dict[str, Any]:
    """Return the row of a finished search, of this release or an older one."""
    measured = summary["synthesised"]
    return {
        "seed": summary["seed"],
        **{part: round(summary["accuracy"][part], 4) for part in ("validation", "test")},
        "images_per_second": round(summary["simulated"]["images_per_second"]),
        "luts": measured["luts"],
        "brams": measured["brams"],
        "trained_fully": summary.get("networks_trained_fully", 1),
        "wall_seconds": round(summary["wall_seconds"]),
        "cpu_seconds": None if cpu_seconds is None else round(cpu_seconds),
    }


def _is_finished(folder: Path) -> bool:
    path = folder / "summary.json"
    return path.exists() and json.loads(path.read_text())["status"] == 0


def _search(seed: int, folder: Path, source: Path, options: Sequence[str]) -> None:
    resume = ["--resume"] if (folder / "explore.json").exists() else []
    command = [sys.executable, "-m", "codesign.cli", "explore", "--lut-budget", str(LUT_BUDGET)]
    command += ["--seed", str(seed), "--out", str(folder), *options, *resume]
    cache = folder.with_name(f"{folder.name}.cache")
    environment = {**os.environ, "PYTHONPATH": str(source), "CODESIGN_CACHE": str(cache)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=source, env=environment, check=True, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    folder.with_name(f"{folder.name}.{CPU}").write_text(json.dumps(spent))


def _cpu_seconds(folder: Path) -> float | None:
    path = folder.with_name(f"{folder.name}.{CPU}")
    return float(json.loads(path.read_text())) if path.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--finish", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/choice"))
    parser.add_argument("--source", type=Path, default=ROOT)
    args = parser.parse_args()
    options = [] if args.finish is None else ["--finish", str(args.finish)]
    if not args.json:
        sys.stdout.write("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS) + "\n")
    for found in rows(args.seeds, args.out.resolve(), args.source.resolve(), options):
        shown = json.dumps(found) if args.json else f"| {' | '.join(map(str, found.values()))} |"
        sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
