"""The words for outcomes: figures (estimated or measured), budgets, and infeasibility."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figures:
    """Estimate and measurement share these fields; None is 'not known from this source'."""

    luts: float | None = None
    """LUT1..LUT6 plus the LUTs behind distributed RAM and shift registers."""
    lutrams: float | None = None
    """The LUTs of ``luts`` behind distributed RAM and shift registers."""
    ffs: float | None = None
    brams: float | None = None
    """36 Kb block RAMs; an 18 Kb one counts 0.5."""
    dsps: float | None = None
    cycles_per_image: float | None = None
    """Of a run of one image, from start to the end of its EMIT, waits for memory included."""
    interval_cycles: float | None = None
    """From image to image in a run of many, back to back."""
    images_per_second: float | None = None
    fmax_mhz: float | None = None
    """Highest clock on an ECP5 of the slowest speed grade."""

    def to_dict(self) -> dict[str, float]:
        """The fields that are known."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value is not None}


RESOURCES = ("luts", "ffs", "brams", "dsps")
AREA_CONFIDENCE = 0.6
"""One-sided confidence level of the area bound that a budget is tested with: the fraction of unseen
configurations whose synthesised area is at or below it. Higher rejects more designs that would
have fitted."""
OLD_OPTIONS = {"strategy": "optimiser", "guard": "area_confidence"}
"""Options of a search in 0.1 -> what they are called now; old files and command lines are read."""


@dataclass(frozen=True)
class Budget:
    """Hard limits; None is no limit."""

    luts: float | None = None
    ffs: float | None = None
    brams: float | None = None
    dsps: float | None = 0
    max_latency_us: float | None = None
    min_throughput: float | None = None
    """Images per second."""
    clock_mhz: float = 100.0


@dataclass(frozen=True)
class Infeasible:
    """Why a design cannot be: a result, not an error."""

    resource: str
    """What runs out: luts, weight_depth, accumulator_bits, shape, op, ..."""
    where: str
    """Layer, block or budget that needs it."""
    need: float
    have: float
    unit: str
    levers: tuple[str, ...]
    """What would help, each an imperative sentence."""

    def __str__(self) -> str:
        text = f"{self.where}: needs {_amount(self.need)} {self._what()}, has {_amount(self.have)}"
        return f"{text}; {' or '.join(self.levers)}" if self.levers else text

    def _what(self) -> str:
        """The unit, with the resource where the unit does not say it."""
        if self.resource.casefold() == self.unit.casefold():
            return self.unit
        return (
            f"{self.unit} ({self.resource})"
            if " " in self.unit
            else f"{self.unit} of {self.resource}"
        )


def _amount(value: float) -> str:
    """A number as people write it: whole where it is large, with separators of thousands."""
    return f"{math.ceil(value):,}" if abs(value) >= 100 and math.isfinite(value) else f"{value:g}"


class InfeasibleError(Exception):
    """Carries Infeasible results through code that cannot go on without a design."""

    def __init__(self, reasons: tuple[Infeasible, ...]) -> None:
        super().__init__("\n".join(str(reason) for reason in reasons))
        self.reasons = reasons

    def to_list(self) -> list[dict[str, Any]]:
        """JSON form of the reasons."""
        return [{**vars(reason), "levers": list(reason.levers)} for reason in self.reasons]


class UserError(Exception):
    """Bad input from the user: what, where, what is allowed. The CLI exits with status 2."""
