"""Prediction of a design's resources, cycles and clock before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codesign.compiler import Plan, plan, trained_accumulator, untrainable_reasons
from codesign.cost.area import model_file
from codesign.cost.table import ConfigTable
from codesign.cost.timing import TimingModel
from codesign.design import Design
from codesign.fpga import families
from codesign.results import Figures, InfeasibleError
from models.integer.lower import shape_only
from models.quantisation.accumulators import Accumulator

LATE = (
    "images back to back wait for the transfer of the next one, each of whose words may wait for a "
    "write, too: the rate is an upper estimate, which simulation measures"
)
"""Note on estimates of programs that are bound by the host's transfers."""


@dataclass(frozen=True)
class DesignEstimate:
    """Predicted resources, cycles and clock of a design. Made by ``estimate_design``."""

    figures: Figures
    """Resources by the area model and cycles by the compiler's schedule.

    cycles_per_image includes waits for a memory of program.memory.LATENCY_CYCLES. It is exact if
    the weights are known, else an upper bound: zero weights may let the compiler leave out work.
    images_per_second is at the design's clock. fmax_mhz comes from the timing model, for the ECP5
    family only.
    """
    intervals: Mapping[str, tuple[float, float]]
    """Field of ``figures`` that a fitted model predicts -> (low, high) of its 90 % prediction
    interval."""
    plan: Plan
    """The compiler's schedule for the network's shapes, or for its weights if they are known."""
    notes: tuple[str, ...] = ()
    """Warnings, none if empty: NPU parameters outside the training data of the models; on ECP5, a
    design clock that is hard to reach."""

    def to_dict(self) -> dict[str, Any]:
        """Return the content of reports/estimate.json: known figures by name, intervals, notes.

        "intervals" maps a figure's name to [low, high], "notes" is a list of sentences.
        """
        intervals = {name: list(ends) for name, ends in self.intervals.items()}
        return {**self.figures.to_dict(), "intervals": intervals, "notes": list(self.notes)}


def plan_design(design: Design) -> Plan:
    """Schedule the design by its shapes: program, cycles and memory use.

    Raises InfeasibleError with every reason, among them accumulators that no training can keep to.
    """
    network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    narrow = tuple(untrainable_reasons(network, design.npu))
    try:
        planned = plan(network, design.npu)
    except InfeasibleError as error:
        raise InfeasibleError((*error.reasons, *narrow)) from None
    if narrow:
        raise InfeasibleError(narrow)
    return planned


def accumulator_of(design: Design) -> Accumulator | None:
    """Return the accumulators that the design's training has to keep to; None: any weights fit.

    Raises InfeasibleError for a width that no training can keep to.
    """
    network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    if reasons := tuple(untrainable_reasons(network, design.npu)):
        raise InfeasibleError(reasons)
    return trained_accumulator(network, design.npu)


def estimate_design(
    design: Design, family: str = families.XC7.name, compiled: Plan | None = None
) -> DesignEstimate:
    """Predict resources, cycles and clock of a design on an FPGA family.

    family: a key of families.FAMILIES. compiled: the plan for the trained weights; None: they are
    not known yet. Raises InfeasibleError when the NPU cannot run the network (never with
    ``compiled``), UserError for bad data of the area or timing model, KeyError for an unknown
    family.
    """
    return estimate_plan(compiled or plan_design(design), design.clock_mhz, family)


def estimate_plan(planned: Plan, clock_mhz: float, family: str) -> DesignEstimate:
    """Predict resources, cycles and clock of a plan's NPU, as ``estimate_design`` does."""
    config = planned.schedule.config
    areas, npu = model_file.load(), ConfigTable.of([config])
    area, cycles = areas.estimate(npu).on(family), planned.cycles + planned.memory_wait_cycles
    figures = Figures(
        luts=float(area.luts[0]),
        lutrams=float(area.lutrams[0]),
        ffs=float(area.ffs[0]),
        brams=float(area.brams[0]),
        dsps=float(area.dsps[0]),
        cycles_per_image=cycles,
        interval_cycles=planned.interval_cycles,
    ).at(clock_mhz)
    intervals = {name: (float(area.low[name][0]), float(area.high[name][0])) for name in area.low}
    notes = [areas.outside(config), LATE if planned.waits_for_images else None]
    if family in families.TIMED:
        timing = TimingModel.of(family)
        clock = timing.estimate(npu)
        figures = dataclasses.replace(figures, fmax_mhz=float(clock.fmax_mhz[0]))
        intervals["fmax_mhz"] = reach = float(clock.low[0]), float(clock.high[0])
        notes += [timing.outside(config), _beyond(clock_mhz, *reach)]
    return DesignEstimate(figures, intervals, planned, tuple(note for note in notes if note))


def _beyond(clock_mhz: float, low: float, high: float) -> str | None:
    """Return a warning if ``clock_mhz`` is above ``low``, else None.

    low, high: ends of the 90 % interval of the estimated highest clock, in MHz. Up to ``high``,
    included, the warning says that the clock may not hold, above it that it will hardly hold.
    """
    if clock_mhz <= low:
        return None
    chance = "will hardly hold" if clock_mhz > high else "may not hold"
    return (
        f"{clock_mhz:g} MHz {chance} on the slowest ECP5, whose clock is estimated at {low:.0f} to "
        f"{high:.0f} MHz; codesign synth --place measures it"
    )
