"""The picture of the front: accuracy against images per second, dots as large as LUTs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.headline.index import Entry
from benchmarks.headline.published import Published
from codesign.report.svg import Axis, compact, element, grid, text, titled

WIDTH, HEIGHT = 820, 520
LEFT, RIGHT, TOP, BOTTOM = 70, 790, 50, 430
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#16191d}.title,.head{font-weight:bold}"
    ".note{fill:#5b6470}.grid{stroke:#e1e5ea}.ours{fill:#2563c9;fill-opacity:.55;stroke:#2563c9}"
    ".theirs{fill:#d9730d;fill-opacity:.35;stroke:#d9730d}"
    ".modelled{fill:none;stroke:#d9730d;stroke-dasharray:3 2}"
)
SIZES = (10_000, 20_000, 30_000)
"""LUTs of the dots in the legend."""


@dataclass(frozen=True)
class _Dot:
    name: str
    rate: float
    accuracy: float
    luts: int
    kind: str


def draw(entries: Sequence[Entry], published: Sequence[Published]) -> str:
    """Return the SVG text. There is at least one design in all."""
    dots = [
        _Dot(one.name, one.images_per_second, one.accuracy, one.luts, _kind(one))
        for one in published
    ]
    dots += [
        _Dot(one.name, one.images_per_second, one.test_accuracy, one.luts, "ours")
        for one in entries
    ]
    rates, scores = [dot.rate for dot in dots], [dot.accuracy for dot in dots]
    x = Axis(min(rates) / 1.3, max(rates) * 1.3, LEFT, RIGHT, log=True)
    y = Axis(min(scores) - 0.01, max(scores) + 0.01, BOTTOM, TOP)
    white = element("rect", width=WIDTH, height=HEIGHT, fill="#fff")
    axes = grid(x, y, "images per second", "test accuracy on CIFAR-10", percent=True)
    drawn = "".join(_dot(dot, x, y) for dot in sorted(dots, key=lambda dot: -dot.luts))
    content = element("style", STYLE) + white + axes + drawn + _legend()
    return element(
        "svg", content, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img", aria_label="Test accuracy on CIFAR-10 over images per second",
    ) + "\n"  # fmt: skip


def _kind(one: Published) -> str:
    return "modelled" if one.part == "none" else "theirs"


def _radius(luts: int) -> float:
    """Return a radius in pixels by which the area of a dot grows as the LUTs do."""
    return 12 * math.sqrt(luts / SIZES[-1])


def _dot(dot: _Dot, x: Axis, y: Axis) -> str:
    at = x(dot.rate), y(dot.accuracy)
    radius = _radius(dot.luts)
    told = f"{dot.name}: {100 * dot.accuracy:.2f} %, {dot.rate:,.0f} images/s, {dot.luts:,} LUTs"
    circle = titled("circle", told, cx=at[0], cy=at[1], r=radius, class_=dot.kind)
    left = at[0] > (LEFT + RIGHT) / 2
    side = at[0] - radius - 4 if left else at[0] + radius + 4
    return circle + text(side, at[1] + 4, dot.name, anchor="end" if left else "start")


def _legend() -> str:
    kinds = (
        ("ours", "ours: synthesised, simulated, 100 MHz"),
        ("theirs", "of others, shell or board included"),
        ("modelled", "a model's figures"),
    )
    parts = []
    left = float(LEFT)
    for kind, told in kinds:
        parts.append(element("circle", cx=left, cy=HEIGHT - 22, r=6, class_=kind))
        parts.append(text(left + 11, HEIGHT - 18, told, "note"))
        left += 34 + 6.2 * len(told)
    for luts in SIZES:
        parts.append(element("circle", cx=left, cy=HEIGHT - 22, r=_radius(luts), class_="grid",
                             fill="none"))  # fmt: skip
        parts.append(text(left + 15, HEIGHT - 18, compact(luts), "note"))
        left += 48
    return "".join([*parts, text(left, HEIGHT - 18, "LUTs", "note")])
