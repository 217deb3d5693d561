"""Figures as text: the table of all sources for page and terminal, designs in a line."""

from __future__ import annotations

from collections.abc import Mapping

from codesign.goals import heading
from codesign.report.data import Candidate
from codesign.results import Figures

HEAD = ("", "estimate", "simulated", "synthesised", "error")
"""Column titles of ``rows``."""
UNKNOWN = "—"
"""Text of a cell without a value."""

_LABELS = {
    "luts": "LUTs",
    "lutrams": "of these LUT RAM",
    "ffs": "flip-flops",
    "brams": "block RAMs (36 Kb)",
    "dsps": "DSP slices",
    "cycles_per_image": "cycles per image",
    "images_per_second": "images per second",
    "interval_cycles": "cycles an image, back to back",
    "fmax_mhz": "Fmax on an ECP5-6, MHz",
}


def rows(
    estimate: Figures | None,
    simulated: Figures | None,
    synthesised: Figures | None,
    intervals: Mapping[str, tuple[float, float]],
) -> list[list[str]]:
    """Return one row of text per figure that any source knows; columns as in HEAD.

    The error is the estimate's, relative to synthesis if it knows the figure, otherwise to
    simulation; where that is 0, the difference. intervals: field of Figures -> (low, high) of the
    estimate's prediction interval.
    """
    table = []
    for name, label in _LABELS.items():
        predicted, ran, mapped = (
            getattr(source, name, None) for source in (estimate, simulated, synthesised)
        )
        if predicted is None and ran is None and mapped is None:
            continue
        measured = ran if mapped is None else mapped
        shown = show(predicted)
        if name in intervals:
            low, high = intervals[name]
            shown += f" ({show(low)}–{show(high)})"
        table.append([label, shown, show(ran), show(mapped), _error(predicted, measured)])
    return table


def show(value: float | None) -> str:
    """Format a figure for a table, with separators; UNKNOWN for None.

    Whole figures and those from 1000 on have no decimals, others up to four significant digits.
    """
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:,.4g}"


def told(one: Candidate) -> str:
    """Return what a design is, its accuracy and training, and all its objectives, in a line."""
    training = "full" if one.trained_fully else "short"
    parts = [f"{one.label}: {100 * one.accuracy:.2f} % ({training} training)"]
    parts += [f"{one.images_per_second:,.0f} images/s", f"{one.luts:,.0f} LUTs"]
    if one.one_bits is not None:
        parts.append(f"{one.one_bits:,} one-bits")
    parts += [f"{show(value)} {heading(name)}" for name, value in one.objectives.items()]
    return ", ".join(parts)


def _error(predicted: float | None, measured: float | None) -> str:
    if predicted is None or measured is None:
        return UNKNOWN
    if predicted == measured:
        return "exact"
    return f"{100 * (predicted / measured - 1):+.1f} %" if measured else f"{predicted:+.3g}"
