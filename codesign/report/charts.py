"""The report's charts: Pareto front, resources, cycles and utilisation per layer, roofline."""

from __future__ import annotations

import math
from collections.abc import Sequence

from codesign.report.comparison import show, told
from codesign.report.data import Candidate, LayerRow, ReportData
from codesign.report.svg import Axis, chart, compact, element, grid, text, titled
from codesign.results import RESOURCES

WIDTH = 600
LEFT, RIGHT = 64, 580
ROOFS = 480
"""Right end of the roofline; behind it the roofs have their labels."""
COLOURS = 6
"""Number of runs that ``fronts`` can tell apart by colour; further ones start again."""


def front(candidates: tuple[Candidate, ...]) -> str:
    """Draw accuracy over throughput; a dot's area shows its LUTs, a ring marks the chosen design.

    Returns SVG markup. ``candidates`` must not be empty, throughput and LUTs be above 0.

    Filled dots and the solid step line are of full trainings, hollow dots and the dashed line of
    short ones. A line is the front of accuracy and throughput alone: designs below it can be on
    the front of all objectives because of their LUTs.
    """
    x, y = _front_axes(candidates)
    largest = max(c.luts for c in candidates)

    def dot(c: Candidate) -> str:
        radius = _radius(c, largest)
        cx, cy = x(c.images_per_second), y(c.accuracy)
        kind = "chosen" if c.chosen else "front" if c.on_front else "other"
        ring = element("circle", cx=cx, cy=cy, r=radius + 4, class_="ring") if c.chosen else ""
        return ring + titled("circle", told(c), cx=cx, cy=cy, r=radius, class_=_dot_class(c, kind))

    order = sorted(candidates, key=lambda c: (c.chosen, c.on_front))
    parts = [
        grid(x, y, "images per second (estimate)", "validation accuracy", percent=True),
        *_front_lines(candidates, x, y),
        *(dot(c) for c in order),
    ]
    chosen = next((c for c in candidates if c.chosen), None)
    if chosen:
        at_x = x(chosen.images_per_second)
        right = at_x > (LEFT + RIGHT) / 2
        parts.append(
            text(
                at_x + (-20 if right else 20),
                y(chosen.accuracy) - 14,
                f"chosen: {compact(chosen.luts)} LUTs",
                "strong",
                anchor="end" if right else "start",
            )
        )
    return chart(WIDTH, 380, "Pareto front: accuracy over images per second", "".join(parts))


def _front_axes(candidates: Sequence[Candidate]) -> tuple[Axis, Axis]:
    """Return the axes of images per second and accuracy, in this order, that show all candidates.

    Images per second are logarithmic if the largest is more than 8 times the smallest.
    """
    rates = [c.images_per_second for c in candidates]
    scores = [c.accuracy for c in candidates]
    log = max(rates) > 8 * min(rates)
    margin = 1.15 if log else 1.05
    x = Axis(min(rates) / margin, max(rates) * margin, LEFT, RIGHT, log=log)
    span = max(max(scores) - min(scores), 0.01)
    return x, Axis(min(scores) - 0.12 * span, max(scores) + 0.12 * span, 330, 40)


def _radius(one: Candidate, largest: float) -> float:
    """Return a dot's radius in pixels, 3 to 12, which grows with the root of the LUTs.

    largest: LUTs of the largest dot.
    """
    return 3 + 9 * math.sqrt(one.luts / largest)


def _dot_class(one: Candidate, kind: str) -> str:
    return f"dot {kind}" if one.trained_fully else f"dot {kind} short"


def _front_lines(candidates: Sequence[Candidate], x: Axis, y: Axis, kind: str = "") -> list[str]:
    """Return the step lines of short and of full trainings, whose accuracies do not compare."""
    lines = []
    for fully, training in ((False, " short"), (True, "")):
        steps = _steps([one for one in candidates if one.trained_fully == fully])
        if points := " ".join(f"{x(rate):.1f},{y(score):.1f}" for rate, score in steps):
            lines.append(element("polyline", points=points, class_=f"frontline{training}{kind}"))
    return lines


def fronts(groups: Sequence[tuple[Sequence[Candidate], Candidate | None]]) -> str:
    """Draw the fronts of several runs, each in a colour of its own, and what each run has built.

    groups: the designs on the front of each run, and the design that it built or None; at least one
    design in all, throughput and LUTs above 0. Returns SVG markup.
    """
    every = [c for front, built in groups for c in (*front, *([built] if built else []))]
    x, y = _front_axes(every)
    largest = max(c.luts for c in every)
    parts = [grid(x, y, "images per second", "validation accuracy", percent=True)]
    for index, (front, built) in enumerate(groups):
        kind = f"run{index % COLOURS}"
        parts += _front_lines(front, x, y, f" {kind}")
        for one in front:
            at = {"cx": x(one.images_per_second), "cy": y(one.accuracy)}
            at |= {"r": _radius(one, largest)}
            parts.append(titled("circle", told(one), class_=_dot_class(one, kind), **at))
        if built:
            at = {"cx": x(built.images_per_second), "cy": y(built.accuracy)}
            size = _radius(built, largest) + 4
            parts.append(titled("circle", told(built), r=size, class_=f"ring {kind}", **at))
    return chart(WIDTH, 380, "Fronts: accuracy over images per second", "".join(parts))


def _steps(candidates: Sequence[Candidate]) -> list[tuple[float, float]]:
    """Return the corners (images per second, accuracy) of the front's step line, fastest first."""
    corners: list[tuple[float, float]] = []
    for one in sorted(candidates, key=lambda c: (-c.images_per_second, -c.accuracy)):
        if not corners:
            corners.append((one.images_per_second, one.accuracy))
        elif one.accuracy > corners[-1][1]:
            corners.append((one.images_per_second, corners[-1][1]))
            corners.append((one.images_per_second, one.accuracy))
    return corners


def resources(data: ReportData) -> str:
    """Draw one bar per resource as a fraction of its limit: the budget, else the device's.

    Returns SVG markup. A resource that is neither synthesised nor estimated has no bar.
    """
    parts: list[str] = []
    count = 0
    for name in RESOURCES:
        measured = getattr(data.synthesised, name, None)
        predicted = getattr(data.estimate, name, None)
        if measured is None and predicted is None:
            continue
        budget = getattr(data.budget, name, None)
        limit = data.capacity.get(name) if budget is None else budget
        device = "assumed device" if data.device_assumed else "device"
        kind = device if budget is None else "budget"
        parts.append(_resource(14 + 58 * count, name, measured, predicted, limit, kind))
        count += 1
    return chart(WIDTH, 24 + 58 * count, "Resources against their limits", "".join(parts))


def _resource(
    top: float,
    name: str,
    measured: float | None,
    predicted: float | None,
    limit: float | None,
    limit_kind: str,
) -> str:
    """Draw the bar of one resource: measured, with a mark at the estimate, or only estimated.

    top: the bar's y in pixels. measured, predicted: amounts, not both None. limit: the bar's whole
    length if no amount is above it, None if not known. limit_kind: what the limit is of, in words.
    """
    value = measured if measured is not None else predicted or 0.0
    x = Axis(0, max(limit or 0, value, predicted or 0) or 1, 150, 540)
    over = limit is not None and value > limit
    kind = "over" if over else "predicted" if measured is None else "measured"
    limits = "" if limit is None else f" of {show(limit)} ({limit_kind})"
    caption = f"{show(value)}{limits}"
    source = "estimated" if measured is None else "synthesised"
    width = max(x(value) - 150, 1.5 if value else 0.0)
    parts = [
        text(136, top + 18, name, "strong", anchor="end"),
        element("rect", x=150, y=top, width=390, height=26, rx=4, class_="track"),
        titled(
            "rect",
            f"{name}: {caption}, {source}",
            x=150,
            y=top,
            width=width,
            height=26,
            rx=4,
            class_=kind,
        ),
        text(150, top + 42, caption),
    ]
    if predicted is not None and measured is not None:
        mark = {"x1": x(predicted), "x2": x(predicted), "y1": top - 4, "y2": top + 30}
        parts.append(titled("line", f"estimate {predicted:,.0f}", class_="marker", **mark))
    return "".join(parts)


def cycles(data: ReportData) -> str:
    """Draw cycles per instruction as bars; the filled fraction is the array's utilisation.

    Returns SVG markup. ``data`` must have one layer or more. An instruction without MACs has no
    filled fraction.
    """
    rows = data.layers
    longest = max(row.cycles for row in rows)
    x = Axis(0, max(longest, 1), 150, 480)
    parts = []
    for index, row in enumerate(rows):
        top = 8 + 30 * index
        share = row.utilisation(data.npu)
        width = max(x(row.cycles) - 150, 1.5)
        tip = f"{row.name}: {row.cycles:,} cycles"
        tip += f", {100 * share:.1f} % of the products useful" if row.macs else " of streaming"
        note = f"{row.cycles:,}" + (f" · {100 * share:.0f} %" if row.macs else "")
        parts += [
            text(140, top + 15, _short(row.name), anchor="end"),
            titled(
                "rect",
                tip,
                x=150,
                y=top,
                width=width,
                height=20,
                rx=3,
                class_="idle" if row.macs else "stream",
            ),
            element("rect", x=150, y=top, width=width * share, height=20, rx=3, class_="measured")
            if row.macs
            else "",
            text(150 + width + 8, top + 15, note),
        ]
    return chart(WIDTH, 16 + 30 * len(rows), "Cycles and utilisation per layer", "".join(parts))


def _short(name: str, limit: int = 18) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def roofline(data: ReportData) -> str:
    """Draw the roofline of the layers: MACs per cycle over MACs per accumulator.

    Returns SVG markup. One layer or more must have MACs, accumulations and cycles.

    On-chip buffers feed the array at full rate, so a layer is bound either by the products per
    cycle (divided by its weight passes) or by the accumulators per cycle that the post-processing
    units take, which replace memory bandwidth as the slope.
    """
    rows = [row for row in data.layers if row.macs and row.accumulations and row.cycles]
    intensities = [row.macs / row.accumulations for row in rows]
    rates = [row.macs / row.cycles for row in rows]
    peaks = sorted({row.passes for row in rows})
    units = data.npu.post_units
    low_x, high_x = min(intensities) / 2, max(intensities) * 2
    x = Axis(low_x, high_x, LEFT, ROOFS, log=True)
    roof = data.npu.macs / peaks[0]
    y = Axis(min([*rates, units * low_x, roof / peaks[-1]]) / 1.5, roof * 1.6, 330, 40, log=True)
    parts = [grid(x, y, "MACs per accumulator", "MACs per cycle")]
    ridge = roof / units
    top = min(max(ridge, low_x), high_x)
    slope = f"{x(low_x):.1f},{y(max(units * low_x, y.low)):.1f} {x(top):.1f},{y(units * top):.1f}"
    parts.append(element("polyline", points=slope, class_="roof"))
    heights = [y(data.npu.macs / passes) for passes in peaks]
    for passes, at, label_at in zip(peaks, heights, spread(heights, 15), strict=True):
        peak = data.npu.macs / passes
        start = min(max(peak / units, low_x), high_x)
        parts.append(element("line", x1=x(start), x2=ROOFS, y1=at, y2=at, class_="roof"))
        label = f"{compact(peak)} in {passes} pass{'es' if passes > 1 else ''}"
        parts.append(text(ROOFS + 8, label_at + 4, label))
    if ridge > low_x:  # no layer is above the roof, so that there is room
        of = f"slope: {units} post unit{'s' if units > 1 else ''}"
        parts.append(text(LEFT + 10, y.end + 16, of))
    for index, (row, at_x, at_y) in enumerate(zip(rows, intensities, rates, strict=True)):
        parts.append(_layer_dot(index + 1, row, x(at_x), y(at_y), at_y))
    return chart(WIDTH, 380, "Roofline of the layers", "".join(parts))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return places that ascend by at least ``gap``, each as given or as little above as needed.

    places: ascending.
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    return found


def _layer_dot(number: int, row: LayerRow, x: float, y: float, rate: float) -> str:
    tip = f"{row.name}: {rate:,.1f} MAC/cycle in {row.cycles:,} cycles"
    return titled("circle", tip, cx=x, cy=y, r=9, class_="dot front") + text(
        x, y + 4, str(number), "number", anchor="middle"
    )
