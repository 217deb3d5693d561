"""Goals: what a search makes large or small beside accuracy, and what it prefers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from codesign.results import UserError


@dataclass(frozen=True)
class Goal:
    """Figure of a design that a search can make large or small, beside accuracy.

    >>> GOALS["latency"].figure
    'latency_us'
    """

    figure: str
    """Name in JSON files, with the unit, and of the property of cost.estimate.Estimate."""
    heading: str
    """Title of a column of a table."""
    best: Literal["minimize", "maximize"] = "minimize"
    more: float = 0.0
    """Amount to add before a logarithm is taken: 1 of what may be 0."""


GOALS: Mapping[str, Goal] = {
    "throughput": Goal("images_per_second", "images/s", "maximize"),
    "luts": Goal("luts", "LUTs"),
    "ffs": Goal("ffs", "flip-flops"),
    "brams": Goal("brams", "block RAMs", more=1.0),
    "dsps": Goal("dsps", "DSP slices", more=1.0),
    "latency": Goal("latency_us", "latency us"),
    "bit-operations": Goal("bit_operations", "bit operations"),
    "lut-time": Goal("lut_us", "LUT us"),
}
"""Objectives of a search by their names on the command line; the first two are always some."""
ALWAYS = ("throughput", "luts")
"""Goals of every search."""
PREFERENCES = ("throughput", "area", "knee", "accuracy", *(g for g in GOALS if g not in ALWAYS))
"""What decides between designs whose networks are equally accurate (SearchSettings.prefer)."""


def goals_of(prefer: str, further: Sequence[str]) -> tuple[str, ...]:
    """Return the goals of a search, names in GOALS: ALWAYS, further ones, what is preferred.

    Raises UserError for an unknown preference or goal, or a goal that is named twice.

    >>> goals_of("latency", ["brams"])
    ('throughput', 'luts', 'brams', 'latency')
    """
    if prefer not in PREFERENCES:
        raise UserError(f"prefer must be one of {', '.join(PREFERENCES)}, not {prefer!r}")
    for name in further:
        if name not in GOALS:
            raise UserError(f"objectives must be of {', '.join(GOALS)}, not {name!r}")
    if len(set(further)) < len(further):
        raise UserError(f"objectives must be different, not {', '.join(further)}")
    return tuple(dict.fromkeys((*ALWAYS, *further, preferred(prefer))))


def preferred(prefer: str) -> str:
    """Return the goal that decides first between equally accurate designs, by the preference."""
    return {"area": "luts"}.get(prefer, prefer if prefer in GOALS else ALWAYS[0])


def heading(figure: str) -> str:
    """Return the title of a column of a goal's figure; of an unknown one its name."""
    return next((goal.heading for goal in GOALS.values() if goal.figure == figure), figure)
