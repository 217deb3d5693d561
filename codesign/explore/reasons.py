"""Why a search found no design within its budget: the constraints that the nearest one violates."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from codesign.cost.cycles.schedule import ScheduleTable
from codesign.results import Infeasible
from codesign.search.engine import Evaluated, Problem
from rtl_gen.parameters import DEPTH_RANGES

ROUNDING = 1e-6
"""Part of a LUT or flip-flop that is taken for a rounding error."""
_NEAREST = "the nearest design found"
_SMALLER = ("allow smaller networks or wider arrays in the space", "use smaller images (--resize)")
_UNITS = {"luts": "LUTs", "ffs": "flip-flops", "brams": "block RAMs", "dsps": "DSP slices",
          "latency_us": "us", "throughput": "images/s", "macs": "MACs"}  # fmt: skip
_LEVERS = {
    "luts": ("raise --lut-budget", "allow fewer lanes, columns or pixels in the space"),
    "ffs": ("raise --ff-budget", "allow fewer lanes, columns or pixels in the space"),
    "brams": ("raise --bram-budget", "allow smaller networks in the space"),
    "dsps": ("raise --dsp-budget", 'allow multiplier "lut" in the space'),
    "latency_us": ("raise --max-latency-us", "raise --lut-budget", "raise --clock-mhz"),
    "throughput": ("lower --min-throughput", "raise --lut-budget", "raise --clock-mhz"),
    "macs": ("raise max_macs of the space", "allow smaller networks in the space"),
}


def reasons(problem: Problem, pool: Evaluated) -> tuple[Infeasible, ...]:
    """Return every constraint that the candidate nearest to feasibility in ``pool`` violates.

    That is the candidate with the least ``Evaluated.violation``. Its needs are estimates, of LUTs
    and flip-flops the bounds that are tested. Of throughput the need is the limit, and what it has
    the estimate.
    """
    row = int(np.argmin(pool.violation))
    found = list[Infeasible]()
    for name, values in problem.excess(pool.layers, pool.estimate).items():
        share = float(values[row])
        if name == "memory":
            found += _too_deep(pool.estimate.words, row)
        elif share > 0:
            need, have = _need_and_have(name, share, problem)
            found.append(Infeasible(name, _NEAREST, need, have, _UNITS[name], _LEVERS[name]))
    return tuple(found)


def _too_deep(words: ScheduleTable, row: int) -> Iterator[Infeasible]:
    """Yield the memories that would have to be deeper than NpuConfig allows."""
    for name, (_, high) in DEPTH_RANGES.items():
        need = int(getattr(words, name)[row])
        if need > high:
            yield Infeasible(name, _NEAREST, need, high, "words", _SMALLER)


def _need_and_have(name: str, share: float, problem: Problem) -> tuple[float, float]:
    budget = problem.budget
    if name == "throughput":
        wanted = budget.min_throughput or 0.0
        return wanted, wanted / (1 + share)
    limits = {"luts": budget.luts, "ffs": budget.ffs, "brams": budget.brams, "dsps": budget.dsps,
              "latency_us": budget.max_latency_us,
              "macs": problem.space.declaration.max_macs}  # fmt: skip
    limit = limits[name]
    need, have = (limit * (1 + share), limit) if limit else (share, 0.0)
    return (math.ceil(need - ROUNDING), have) if name in ("luts", "ffs") else (need, have)
