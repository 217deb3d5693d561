"""Plots of the area model (docs/measurements/cost-models.md): predictions, errors, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area.evaluation import Trial
from codesign.report.svg import Axis, element, grid, text

WIDTH, HEIGHT, MARGIN = 430, 330, 70
CONFIDENCES = np.linspace(0.5, 0.98, 17)
BUDGETS = (10_000, 20_000, 30_000)
COLOURS = ("#1f6feb", "#bf5700", "#1a7f37")
STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.grid{stroke:#ddd}"
    "circle{fill:#1f6feb;fill-opacity:.45}.line{fill:none;stroke-width:2}"
)


def draw(trial: Trial) -> str:
    """Return one SVG of four panels; all points are of NPUs of families not fitted to."""
    found = list(trial.intervals(seed=0))
    order = np.concatenate([test for test, *_ in found])
    middle = np.concatenate([estimates for _, estimates, *_ in found])
    truth = trial.measured.totals[order]
    panels = [
        _against(truth, middle),
        _errors(truth, middle / truth - 1),
        _calibration(trial),
        _budgets(trial),
    ]
    placed = "".join(
        element("g", panel, transform=f"translate({k % 2 * WIDTH},{k // 2 * (HEIGHT + 40)})")
        for k, panel in enumerate(panels)
    )
    size = {"width": 2 * WIDTH, "height": 2 * (HEIGHT + 40)}
    box = f"0 0 {size['width']} {size['height']}"
    white = element("rect", fill="#fff", **size)
    return element(
        "svg", element("style", STYLE) + white + placed, xmlns="http://www.w3.org/2000/svg",
        viewBox=box, **size,
    ) + "\n"  # fmt: skip


def _frame(
    x: tuple[float, float], y: tuple[float, float], *, log: bool = False
) -> tuple[Axis, Axis]:
    return (
        Axis(*x, MARGIN, WIDTH - 20, log=log),
        Axis(*y, HEIGHT - 50, 40, log=log and y[0] > 0),
    )


def _points(x: Axis, y: Axis, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> str:
    return "".join(
        element("circle", cx=x(float(a)), cy=y(float(b)), r=2.5)
        for a, b in zip(xs, ys, strict=True)
    )


def _line(x: Axis, y: Axis, xs: list[float], ys: list[float], colour: str) -> str:
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, ys, strict=True))
    return element("polyline", points=points, class_="line", stroke=colour)


def _against(truth: NDArray[np.float64], middle: NDArray[np.float64]) -> str:
    span = (float(truth.min()) * 0.9, float(truth.max()) * 1.1)
    x, y = _frame(span, span, log=True)
    diagonal = _line(x, y, list(span), list(span), "#999")
    return grid(x, y, "measured LUTs", "predicted LUTs") + diagonal + _points(x, y, truth, middle)


def _errors(truth: NDArray[np.float64], error: NDArray[np.float64]) -> str:
    most = float(np.abs(error).max()) * 1.1
    x, _ = _frame((float(truth.min()) * 0.9, float(truth.max()) * 1.1), (1, 2), log=True)
    y = Axis(-most, most, HEIGHT - 50, 40)
    return grid(x, y, "measured LUTs", "error", percent=True) + _points(x, y, truth, error)


def _calibration(trial: Trial) -> str:
    """Draw the fraction of unseen NPUs below the bound over the confidence asked for."""
    asked, held = [float(confidence) for confidence in CONFIDENCES], []
    found = list(trial.intervals(seed=0))
    for confidence in asked:
        below = [
            trial.measured.totals[test]
            <= middle * np.exp(learned.upper_quantile(confidence) * deviation)
            for test, middle, deviation, learned in found
        ]
        held.append(float(np.concatenate(below).mean()))
    x, y = _frame((0.5, 1.0), (0.5, 1.0))
    diagonal = _line(x, y, [0.5, 1.0], [0.5, 1.0], "#999")
    return (
        grid(x, y, "confidence asked for", "share of designs below", percent=True)
        + diagonal
        + _line(x, y, asked, held, COLOURS[0])
    )


def _budgets(trial: Trial) -> str:
    """Draw the false prunes of NPUs within 10 % of three budgets over the confidence."""
    asked = [float(confidence) for confidence in CONFIDENCES]
    rates = list(trial.decisions(0, BUDGETS, asked))
    x, y = _frame((0.5, 1.0), (0.0, 0.25))
    parts = [grid(x, y, "confidence", "falsely pruned", percent=True)]
    for k, (budget, colour) in enumerate(zip(BUDGETS, COLOURS, strict=True)):
        ys = [min(rate["false_prune"], 0.25) for rate in rates if rate["budget"] == budget]
        parts.append(_line(x, y, asked, ys, colour))
        parts.append(text(MARGIN + 10, 55 + 16 * k, f"{budget:,} LUTs", style=f"fill:{colour}"))
    return "".join(parts)
