"""Why a search found no design within its budget: the nearest one, and what would let one fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from codesign.cost.cycles.schedule import ScheduleTable
from codesign.explore.telling.names import array_name, readable_names
from codesign.results import Infeasible, InfeasibleError
from codesign.search.engine import Evaluated, InnerSearch, Problem
from rtl_gen.parameters import DEPTH_RANGES

ROUNDING = 1e-6
"""Part of a LUT or flip-flop that is taken for a rounding error."""
_NEAREST = "the nearest design found"
_SMALLER = (
    "allow smaller networks or wider arrays in the space",
    "use smaller images (--resize, of pictures)",
)
_OPTIONS = {"luts": "--lut-budget", "ffs": "--ff-budget", "brams": "--bram-budget",
            "dsps": "--dsp-budget", "latency_us": "--max-latency-us",
            "throughput": "--min-throughput", "bit_operations": "--max-bit-operations",
            "lut_us": "--max-lut-us", "macs": "max_macs of the space"}  # fmt: skip
"""Constraint -> the option that sets its limit."""
_UNITS = {"luts": "LUTs", "ffs": "flip-flops", "brams": "block RAMs", "dsps": "DSP slices",
          "latency_us": "us", "throughput": "images/s", "macs": "MACs",
          "bit_operations": "bit operations", "lut_us": "LUT us",
          "rules": "broken rules"}  # fmt: skip
_CLOCK = "raise --clock-mhz"
_LEVERS = {
    "luts": ("raise --lut-budget", "allow fewer lanes, columns or pixels in the space"),
    "ffs": ("raise --ff-budget", "allow fewer lanes, columns or pixels in the space"),
    "brams": ("raise --bram-budget", "allow smaller networks in the space"),
    "dsps": ("raise --dsp-budget", 'allow multiplier "lut" in the space'),
    "latency_us": ("raise --max-latency-us", "raise --lut-budget", _CLOCK),
    "throughput": ("lower --min-throughput", "raise --lut-budget", _CLOCK),
    "bit_operations": ("raise --max-bit-operations", "allow fewer bits in the space"),
    "lut_us": ("raise --max-lut-us", _CLOCK, "allow fewer bits in the space"),
    "macs": ("raise max_macs of the space", "allow smaller networks in the space"),
    "rules": ("change forbid and require of the space",),
}


def nothing_fits(search: InnerSearch) -> InfeasibleError:
    """Return the error of a search that found no feasible design.

    Its reasons are those of the nearest design. ``details`` has ``nearest`` (label, violation,
    binding constraints, estimated figures), ``would_fit`` (see ``relaxations``) and ``search``, as
    in summary.json.
    """
    pool, problem = search.archive(), search.problem
    row = int(np.argmin(pool.violation))
    found, enough = reasons(problem, pool), relaxations(problem, pool)
    nearest = {
        "label": _label(problem, pool, row),
        "violation": float(pool.violation[row]),
        "binding": [reason.resource for reason in found],
        "figures": pool.estimate.figures(row).to_dict(),
    }
    remarks = (f"{_NEAREST}: {nearest['label']}", _would_fit(search, enough), _looked_at(search))
    details = {"nearest": nearest, "would_fit": enough, "search": search.summary()}
    return InfeasibleError(found, remarks, details)


def _would_fit(search: InnerSearch, enough: Sequence[Mapping[str, Any]]) -> str:
    if not enough:
        return "no design found breaks one limit alone: several have to be changed"
    options = ", or ".join(
        f"{one['option']} {one['enough']:.12g} instead of {one['asked']:.12g}" for one in enough
    )
    known = "the least there is" if search.whole else "found, not proven to be the least"
    return f"enough for a design to fit ({known}): {options}"


def _looked_at(search: InnerSearch) -> str:
    if search.whole:
        return f"these are all {search.evaluations:,} designs of the space: none fits"
    _, _, high = search.feasible_share
    return (
        f"{search.evaluations:,} designs were estimated; none of the {search.sampled:,} drawn at "
        f"random fits: at most 1 in {1 / high:,.0f} of the space does (95 %)"
    )


def relaxations(problem: Problem, pool: Evaluated) -> list[dict[str, Any]]:
    """Return for each limit what it would have to be for a design of ``pool`` to be feasible.

    All other limits stay. Limits that no design of the pool breaks alone are left out. Values are
    rounded to the generous side. Each is a JSON object: ``limit`` (constraint), ``option`` that
    sets it, the value ``asked`` and the one that is ``enough``, ``label`` of the design.
    """
    found = []
    for name, option in _OPTIONS.items():
        others = [v for other, v in pool.excess.items() if other != name]
        if name not in pool.excess or not others:
            continue
        rows = np.flatnonzero(np.max(others, axis=0) <= 0)
        if len(rows):
            row = int(rows[np.argmin(pool.excess[name][rows])])
            need, have = _need_and_have(name, float(pool.excess[name][row]), problem)
            asked, enough = (need, have) if name == "throughput" else (have, need)
            enough = _generous(name, enough)
            found.append({"limit": name, "option": option, "asked": asked, "enough": enough,
                          "label": _label(problem, pool, row)})  # fmt: skip
    return found


def _generous(name: str, value: float) -> float:
    """Return a limit rounded to three digits or to whole numbers, so that it is no tighter."""
    digits = 2 - math.floor(math.log10(value)) if 0 < value < 100 else 0
    scaled = value * 10.0**digits
    rounded = (
        math.floor(scaled + ROUNDING) if name == "throughput" else math.ceil(scaled - ROUNDING)
    )
    return rounded / 10.0**digits


def _label(problem: Problem, pool: Evaluated, row: int) -> str:
    """Return the name of a design and its figures: what it is and what it needs."""
    (name,) = readable_names(problem.space, [pool.candidates[row]])
    area, rate = pool.estimate.area, pool.estimate.images_per_second[row]
    return (
        f"{name} on {array_name(pool.estimate.npu.config(row))}, {area.luts[row]:,.0f} LUTs, "
        f"{area.brams[row]:g} block RAMs, {rate:,.0f} images/s"
    )


def reasons(problem: Problem, pool: Evaluated) -> tuple[Infeasible, ...]:
    """Return every constraint that the candidate nearest to feasibility in ``pool`` violates.

    That is the candidate with the least ``Evaluated.violation``. Its needs are estimates, of LUTs
    and flip-flops the bounds that are tested. Of throughput the need is the limit, and what it has
    the estimate.
    """
    row = int(np.argmin(pool.violation))
    found, timed = list[Infeasible](), problem.budget.clock_mhz is not None
    for name, values in pool.excess.items():
        share = float(values[row])
        if name == "memory":
            found += _too_deep(pool.estimate.words, row)
        elif share > 0:
            need, have = _need_and_have(name, share, problem)
            levers = tuple(lever for lever in _LEVERS[name] if timed or lever != _CLOCK)
            found.append(Infeasible(name, _NEAREST, need, have, _UNITS[name], levers))
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
              "latency_us": budget.max_latency_us, "lut_us": budget.max_lut_us,
              "bit_operations": budget.max_bit_operations,
              "macs": problem.space.max_macs or 0, "rules": 0}  # fmt: skip
    limit = limits[name]
    need, have = (limit * (1 + share), limit) if limit else (share, 0.0)
    return (math.ceil(need - ROUNDING), have) if name in ("luts", "ffs") else (need, have)
