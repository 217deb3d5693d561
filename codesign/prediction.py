"""What a design will take and do, before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codesign.compiler import Plan, plan, worst_accumulator_reasons
from codesign.cost.area import model_file
from codesign.cost.table import ConfigTable
from codesign.cost.timing import TimingModel
from codesign.design import Design
from codesign.fpga import families
from codesign.results import Figures, InfeasibleError
from models.integer.lower import shape_only


@dataclass(frozen=True)
class DesignEstimate:
    """What a design is predicted to take and do."""

    figures: Figures
    """Resources by the area model; cycles_per_image exact for weights without zeros to leave out,
    else the most that there will be; images_per_second at the clock; interval_cycles as Plan has
    it; fmax_mhz of an ECP5 alone, by the timing model."""
    intervals: Mapping[str, tuple[float, float]]
    """Learned field of ``figures`` -> ends of its 90 % prediction interval."""
    plan: Plan
    notes: tuple[str, ...] = ()
    """What speaks against believing it, or against the clock."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, for reports/estimate.json."""
        intervals = {name: list(ends) for name, ends in self.intervals.items()}
        return {**self.figures.to_dict(), "intervals": intervals, "notes": list(self.notes)}


def plan_design(design: Design) -> Plan:
    """Schedule, exact cycles and memory use before training.

    Raises InfeasibleError with every reason, among them accumulators that weights could overflow:
    training cannot be told to keep to them, and would be in vain.
    """
    network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    narrow = tuple(worst_accumulator_reasons(network, design.npu))
    try:
        planned = plan(network, design.npu)
    except InfeasibleError as error:
        raise InfeasibleError((*error.reasons, *narrow)) from None
    if narrow:
        raise InfeasibleError(narrow)
    return planned


def estimate_design(design: Design, family: str = families.XC7.name) -> DesignEstimate:
    """Resources, cycles and clock of a design. Raises InfeasibleError when it cannot run."""
    planned = plan_design(design)
    areas, npu = model_file.load(), ConfigTable.of([design.npu])
    area, cycles = areas.estimate(npu).on(family), planned.cycles + planned.memory_wait_cycles
    figures = Figures(
        luts=float(area.luts[0]),
        lutrams=float(area.lutrams[0]),
        ffs=float(area.ffs[0]),
        brams=float(area.brams[0]),
        dsps=float(area.dsps[0]),
        cycles_per_image=cycles,
        interval_cycles=planned.interval_cycles,
        images_per_second=design.clock_mhz * 1e6 / cycles,
    )
    intervals = {name: (float(area.low[name][0]), float(area.high[name][0])) for name in area.low}
    notes = [areas.outside(design.npu)]
    if family == families.ECP5.name:
        timing = TimingModel.load()
        clock = timing.estimate(npu)
        figures = dataclasses.replace(figures, fmax_mhz=float(clock.fmax_mhz[0]))
        intervals["fmax_mhz"] = reach = float(clock.low[0]), float(clock.high[0])
        notes += [timing.outside(design.npu), _beyond(design.clock_mhz, *reach)]
    return DesignEstimate(figures, intervals, planned, tuple(note for note in notes if note))


def _beyond(clock_mhz: float, low: float, high: float) -> str | None:
    """What there is to say of a clock that an ECP5 may not reach."""
    if clock_mhz <= low:
        return None
    chance = "will hardly hold" if clock_mhz > high else "may not hold"
    return (
        f"{clock_mhz:g} MHz {chance} on the slowest ECP5, whose clock is estimated at {low:.0f} to "
        f"{high:.0f} MHz; codesign synth --place measures it"
    )
