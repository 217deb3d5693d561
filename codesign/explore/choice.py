"""The end of a search: rule of choice, Pareto front for the report, reasons of infeasibility."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.cost.cycles.schedule import ScheduleTable
from codesign.report.data import Candidate
from codesign.results import Figures, Infeasible
from codesign.search import engine
from codesign.search.engine import Evaluated, Problem
from codesign.search.pareto import Ints, pareto_mask
from codesign.search.space.topology import network_key
from models.training.history import Epoch
from rtl_gen.parameters import DEPTH_RANGES

SHOWN_NPUS = 6
"""Most NPUs per trained network that the report's front is drawn from."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network after its short training. Made by ``Search.run``."""

    candidate: Ints
    """Candidate vector (n_genes,): the network and one NPU that can run it."""
    accuracy: float
    """Validation accuracy, 0..1."""
    seconds: float
    """Wall time of the short training, in seconds."""
    one_bits: int
    """One-bits of the magnitudes of all weights (models.integer.bits)."""
    history: tuple[Epoch, ...] = ()
    """Learning curve of the short training; empty in journals of release 0.2 and older."""


@dataclass(frozen=True, eq=False)
class Option:
    """A design within the budget: a trained network on one NPU. Made by ``best_option``."""

    evaluated: Evaluated
    """Estimates of the network on all NPUs of the space."""
    row: int
    """Row of this NPU in ``evaluated``, from 0."""
    trained: Trained

    @property
    def candidate(self) -> Ints:
        """Candidate vector (n_genes,) of network and NPU."""
        candidate: Ints = self.evaluated.candidates[self.row]
        return candidate

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key for NPUs of one network, larger is better: throughput, then fewer LUTs.

        (Images per second, LUTs negated), both estimated.
        """
        estimate = self.evaluated.estimate
        return float(estimate.images_per_second[self.row]), -float(estimate.area.luts[self.row])

    @property
    def figures(self) -> Figures:
        """Estimated resources, cycles and throughput."""
        return self.evaluated.estimate.figures(self.row)


def best_option(
    problem: Problem,
    trained: Sequence[Trained],
    refused: frozenset[bytes] = frozenset(),
    boo_within: float | None = None,
) -> Option | None:
    """Choose the design with the best validation accuracy within the budget, or None if none fits.

    Each network is taken with its fastest NPU within the budget. Ties go to the higher throughput,
    then to fewer LUTs. refused: candidates (as bytes) that the compiler or synthesis has rejected.
    boo_within: if given, choose instead the network with the fewest one-bits among those whose
    accuracy (0..1) is at most this much below the best.
    """
    every = (_best_npu(problem, one, refused) for one in trained)
    found = [option for option in every if option is not None]
    if not found:
        return None
    best = max(option.trained.accuracy for option in found)
    if boo_within is not None:
        near = [option for option in found if option.trained.accuracy >= best - boo_within]
        fewest = min(option.trained.one_bits for option in near)
        found = [option for option in near if option.trained.one_bits == fewest]
    return max(found, key=lambda option: (option.trained.accuracy, *option.rank))


def _best_npu(problem: Problem, one: Trained, refused: frozenset[bytes]) -> Option | None:
    """Return the network on the fastest NPU within the budget that is not refused, or None.

    Ties go to fewer LUTs. refused: candidates as bytes.
    """
    found = engine.with_all_npus(problem, one.candidate)
    rate, luts = found.estimate.images_per_second, found.estimate.area.luts
    rows = np.flatnonzero(found.feasible)
    for row in rows[np.lexsort((luts[rows], -rate[rows]))]:
        if found.candidates[row].tobytes() not in refused:
            return Option(found, int(row), one)
    return None


def shown_candidates(
    problem: Problem, trained: Sequence[Trained], chosen: Option | None, *, one_bits: bool = False
) -> list[Candidate]:
    """Return the designs of the report's chart, with those on the Pareto front marked.

    These are up to SHOWN_NPUS NPUs within the budget for each network, from small to fast (no other
    is as small and as fast), and ``chosen`` last, in place of designs with its LUTs and throughput.
    one_bits: True if few one-bits are an objective.
    """
    found: list[Candidate] = []
    for one in trained:
        options = engine.with_all_npus(problem, one.candidate)
        rows = np.flatnonzero(options.feasible)
        rate, luts = options.estimate.images_per_second, options.estimate.area.luts
        rows = rows[pareto_mask(np.column_stack([-rate[rows], luts[rows]]))]
        rows = rows[np.argsort(luts[rows])]
        spread = np.unique(np.linspace(0, len(rows) - 1, SHOWN_NPUS).round().astype(int))
        key = network_key(problem.space, one.candidate)
        for row in rows[spread] if len(rows) else []:
            npu = options.estimate.npu.config(int(row))
            shape = f"{npu.pixels}x{npu.lanes}x{npu.columns} d{npu.weight_digit_bits}"
            found.append(
                Candidate(
                    f"{key} on {shape}",
                    one.accuracy,
                    float(rate[row]),
                    float(luts[row]),
                    one_bits=one.one_bits if one_bits else None,
                )
            )
    if chosen is not None:
        figures = chosen.figures
        assert figures.images_per_second is not None
        assert figures.luts is not None
        same = [c for c in found if c.luts == figures.luts
                and c.images_per_second == figures.images_per_second]  # fmt: skip
        found = [c for c in found if c not in same]
        found.append(
            Candidate(
                network_key(problem.space, chosen.candidate),
                chosen.trained.accuracy,
                figures.images_per_second,
                figures.luts,
                one_bits=chosen.trained.one_bits if one_bits else None,
                chosen=True,
            )
        )
    goals = np.array([(c.accuracy, -(c.one_bits or 0)) for c in found]).reshape(-1, 2)
    rate, luts = (np.array([getattr(c, n) for c in found]) for n in ("images_per_second", "luts"))
    shown = engine.front(goals, rate, luts)
    return [dataclasses.replace(c, on_front=bool(s)) for c, s in zip(found, shown, strict=True)]


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
