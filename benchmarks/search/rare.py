"""Measure whether the search finds designs that are as rare as one in a million, or rarer.

``python -m benchmarks.search.rare [--json] [--seeds N] [--strategy NAME]``

Space ``images`` for images of 3 x 32 x 32, a floor in images per second and a LUT budget at once,
so that the share of the space that is feasible is that of SETTINGS. Nothing is trained, a network
counts by its capacity. One row for each setting and seed:

- floor: images per second; luts: budget; share: feasible share of the space, of random designs
- seed; strategy; evaluations: designs estimated in all
- sampled_feasible: feasible ones of those drawn uniformly
- first: designs that were estimated before the first feasible one, null if none was found
- feasible: feasible designs found
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.tight import EVALUATIONS, problem, score
from codesign.search.engine import InnerSearch
from codesign.search.strategies import STRATEGIES

DRAWN = 9_961_472
"""Random designs (numpy's default_rng(1), in batches of 65,536) that the shares come from."""
SETTINGS = {
    (13_000.0, 10_000.0): 830, (20_000.0, 20_000.0): 794,
    (20_000.0, 10_000.0): 103, (30_000.0, 30_000.0): 162,
    (20_000.0, 7_000.0): 12, (30_000.0, 12_000.0): 9,
    (50_000.0, 20_000.0): 1, (60_000.0, 20_000.0): 0,
}  # fmt: skip
"""(Floor in images per second, LUT budget) -> feasible designs among DRAWN."""


def rows(
    settings: Sequence[tuple[float, float]], seeds: Sequence[int], strategy: str = "evolution"
) -> Iterator[dict[str, Any]]:
    """Yield one row for each setting and seed."""
    for floor, luts in settings:
        one = problem(floor, luts)
        for seed in seeds:
            search = InnerSearch(one, strategy, seed)
            search.run(score, EVALUATIONS - search.evaluations)
            feasible = search.archive().feasible
            yield {
                "floor": floor, "luts": luts, "share": SETTINGS[floor, luts] / DRAWN,
                "seed": seed, "strategy": strategy, "evaluations": search.evaluations,
                "sampled_feasible": search.sampled_feasible,
                "first": int(np.argmax(feasible)) if feasible.any() else None,
                "feasible": int(feasible.sum()),
            }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 to N - 1 (default: 10)")
    parser.add_argument("--strategy", choices=STRATEGIES, default="evolution")
    args = parser.parse_args(arguments)
    for setting in SETTINGS:
        found = []
        for row in rows([setting], range(args.seeds), args.strategy):
            found.append(row)
            if args.json:
                print(json.dumps(row), flush=True)
        if not args.json:
            firsts = [row["first"] for row in found if row["first"] is not None]
            told = f"{np.median(firsts):,.0f} (median), {max(firsts):,} (latest)" if firsts else "-"
            print(
                f"{setting[0]:7,.0f} images/s in {setting[1]:6,.0f} LUTs,"
                f" {found[0]['share']:.1e} of the space: found by {len(firsts)} of {len(found)},"
                f" after {told} designs;"
                f" {min(row['feasible'] for row in found):,} or more feasible ones in the end",
                flush=True,
            )


if __name__ == "__main__":
    main()
