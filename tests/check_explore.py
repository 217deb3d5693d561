"""Check the results of ``codesign explore``: ``check_explore.py SUMMARY_JSON --lut-budget N``.

Prints one line per check and ``N passed, N failed``; exit status 1 if any failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GIB = 1 << 30


def checks(
    summary: dict[str, Any], folder: Path, args: argparse.Namespace
) -> Iterator[tuple[str, bool]]:
    """Yield (property, True if it holds), from the summary and the build folder that it names."""
    if summary["status"] != 0:
        yield f"explore ended well: {summary['problem']}", False
        return
    estimate, simulated = summary["estimate"], summary["simulated"]
    measured, accuracy = summary["synthesised"], summary["accuracy"]
    design = folder / summary["design"]
    build = design.parent
    error = estimate["luts"] / measured["luts"] - 1
    yield (
        f"synthesised LUTs {measured['luts']:,.0f} <= {args.lut_budget:,}",
        (0 < measured["luts"] <= args.lut_budget),
    )
    yield f"DSPs {measured['dsps']:g} = 0", measured["dsps"] == 0
    yield f"LUT estimate off by {100 * error:+.1f} %, within 10 %", abs(error) <= 0.10
    yield (
        f"{simulated['images']} images simulated, at least {args.images}",
        (simulated["images"] >= args.images),
    )
    yield "simulation bit-exact", simulated["bit_exact"] is True
    yield (
        f"cycles {simulated['cycles_per_image']:,.0f} no more than estimated",
        (simulated["cycles_per_image"] <= estimate["cycles_per_image"]),
    )
    yield (
        f"test accuracy {accuracy['test']:.4f} >= {args.accuracy}",
        accuracy["test"] >= args.accuracy,
    )
    yield f"validation accuracy {accuracy['validation']:.4f}", 0 < accuracy["validation"] <= 1
    peak, most = summary["peak_memory_bytes"] / GIB, args.memory_gib
    yield f"peak memory {peak:.2f} GiB <= {most:g} GiB", 0 < peak <= most
    yield f"seed {summary['seed']}", isinstance(summary["seed"], int)
    for name in ("design.yaml", "manifest.json", "rtl", "mem", "program.hex", "report.html"):
        yield f"{build.name}/{name} exists", (build / name).exists()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("summary", type=Path)
    parser.add_argument("--lut-budget", type=int, required=True)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--accuracy", type=float, default=0.975)
    parser.add_argument("--memory-gib", type=float, default=4)
    args = parser.parse_args()
    summary = json.loads(args.summary.read_text())
    results = list(checks(summary, args.summary.parent, args))
    for what, holds in results:
        sys.stdout.write(f"{'ok  ' if holds else 'FAIL'} {what}\n")
    failed = sum(not holds for _, holds in results)
    # Not a check: it depends on what else the machine does.
    sys.stdout.write(f"took {summary['wall_seconds']:.0f} s (two idle cores: 360 s at most)\n")
    sys.stdout.write(f"{len(results) - failed} passed, {failed} failed\n")
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
