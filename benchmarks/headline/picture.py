"""The picture of the front: accuracy against images per second, dots as large as LUTs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.headline.index import Entry
from benchmarks.headline.published import Published
from codesign.report.svg import Axis, compact, element, grid, text, titled

WIDTH, HEIGHT = 820, 550
LEFT, RIGHT, TOP, BOTTOM = 70, 790, 50, 430
LETTER, LINE = 6.4, 14
"""Width of a letter and height of a line of text, in pixels."""
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#16191d}.title,.head{font-weight:bold}"
    ".note{fill:#5b6470}.grid{stroke:#e1e5ea}.ours{fill:#2563c9;fill-opacity:.55;stroke:#2563c9}"
    ".theirs{fill:#d9730d;fill-opacity:.35;stroke:#d9730d}"
    ".modelled{fill:none;stroke:#d9730d;stroke-dasharray:3 2}"
)
SIZES = (10_000, 20_000, 30_000)
"""LUTs of the dots in the legend."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom end of something drawn."""


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
        _Dot(one.name, one.images_per_second, one.test_accuracy, one.luts, "ours")
        for one in entries
    ]
    dots += [
        _Dot(one.name, one.images_per_second, one.accuracy, one.luts, _kind(one))
        for one in published
    ]
    rates, scores = [dot.rate for dot in dots], [dot.accuracy for dot in dots]
    x = Axis(min(rates) / 1.3, max(rates) * 1.3, LEFT, RIGHT, log=True)
    y = Axis(min(scores) - 0.01, max(scores) + 0.01, BOTTOM, TOP)
    white = element("rect", width=WIDTH, height=HEIGHT, fill="#fff")
    axes = grid(x, y, "images per second", "test accuracy on CIFAR-10", percent=True)
    circles = "".join(_circle(dot, x, y) for dot in sorted(dots, key=lambda dot: -dot.luts))
    content = element("style", STYLE) + white + axes + circles + _names(dots, x, y) + _legend()
    return element(
        "svg", content, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img", aria_label="Test accuracy on CIFAR-10 over images per second",
    ) + "\n"  # fmt: skip


def _kind(one: Published) -> str:
    return "modelled" if one.part == "none" else "theirs"


def _radius(luts: int) -> float:
    """Return a radius in pixels by which the area of a dot grows as the LUTs do."""
    return 12 * math.sqrt(luts / SIZES[-1])


def _circle(dot: _Dot, x: Axis, y: Axis) -> str:
    told = f"{dot.name}: {100 * dot.accuracy:.2f} %, {dot.rate:,.0f} images/s, {dot.luts:,} LUTs"
    at = {"cx": x(dot.rate), "cy": y(dot.accuracy)}
    return titled("circle", told, r=_radius(dot.luts), class_=dot.kind, **at)


def _names(dots: Sequence[_Dot], x: Axis, y: Axis) -> str:
    """Return the names beside their dots, each where it hides least of the others."""
    centres = [(x(dot.rate), y(dot.accuracy), _radius(dot.luts)) for dot in dots]
    taken: list[Box] = [(cx - r, cy - r, cx + r, cy + r) for cx, cy, r in centres]
    parts = []
    for dot, (cx, cy, r) in zip(dots, centres, strict=True):
        width = LETTER * len(dot.name)
        places = [
            (left, top, left + width, top + LINE)
            for left, top in (
                (cx + r + 4, cy - LINE / 2), (cx - r - 4 - width, cy - LINE / 2),
                (cx - width / 2, cy - r - LINE - 2), (cx - width / 2, cy + r + 2),
            )
        ]  # fmt: skip
        best = min(places, key=lambda place: _hidden(place, taken))
        taken.append(best)
        parts.append(text((best[0] + best[2]) / 2, best[1] + 11, dot.name, anchor="middle"))
    return "".join(parts)


def _hidden(place: Box, taken: Sequence[Box]) -> float:
    """Return the area that a place shares with others, and with what is outside the axes."""
    outside = max(0.0, LEFT - place[0]) + max(0.0, place[2] - RIGHT)
    shared = sum(
        max(0.0, min(place[2], other[2]) - max(place[0], other[0]))
        * max(0.0, min(place[3], other[3]) - max(place[1], other[1]))
        for other in taken
    )
    return shared + LINE * outside


def _legend() -> str:
    kinds = (
        ("ours", "ours: synthesised, simulated, 100 MHz"),
        ("theirs", "of others, shell included"),
        ("modelled", "a model's figures"),
    )
    parts, left = [], LEFT + 10.0
    for kind, told in kinds:
        parts.append(element("circle", cx=left, cy=HEIGHT - 56, r=7, class_=kind))
        parts.append(text(left + 13, HEIGHT - 52, told, "note"))
        left += 40 + LETTER * len(told)
    left = LEFT + 10.0
    for luts in SIZES:
        at = {"cx": left, "cy": HEIGHT - 24, "r": _radius(luts)}
        parts.append(element("circle", fill="none", stroke="#5b6470", **at))
        parts.append(text(left + 16, HEIGHT - 20, f"{compact(luts)} LUTs", "note"))
        left += 90
    return "".join(parts)
