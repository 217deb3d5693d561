"""Drawing of a network as self-contained SVG, byte-identical for the same boxes.

Layers stand in rows by their depth (longest path from the input). An edge over several rows passes
through an empty place in each, so that it never runs behind a box.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from xml.sax.saxutils import escape, quoteattr

from models.graph.network import Layer, NetworkGraph

_BOX = (208, 58)
_GAP = (26, 34)
_MARGIN = 20
_PASSAGE = 28
"""Width in pixels of the place in a row that a long edge passes through."""
_SWEEPS = 8
"""Number of sweeps over all rows in ``_untangle``: down and up in turn, down first."""
_FILLS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("input",), "#e8eaed"),
    (("conv2d", "linear"), "#d6e6fb"),
    (("max_pool", "avg_pool", "global_pool"), "#dff3e3"),
    (("add", "concat"), "#fdecd2"),
)
"""Operators -> colour of their boxes."""
_OTHER_FILL = "#f1e4f7"


@dataclass(frozen=True)
class Box:
    """A layer as it is drawn: its name, the names of its inputs, two lines of text, a tooltip.

    >>> Box("conv1", ("input",), "conv2d 3×3", "16×8×8  w4 a4").fill
    '#d6e6fb'
    """

    name: str
    inputs: tuple[str, ...]
    text: str
    """What it computes; its first word is the operator."""
    note: str
    """Its output's shape, and bits."""
    tip: str = ""

    @property
    def fill(self) -> str:
        operator = self.text.split()[0]
        return next((fill for operators, fill in _FILLS if operator in operators), _OTHER_FILL)


@dataclass(frozen=True)
class _Place:
    """A layer in a row, or the passage of an edge through the row if ``box`` is None.

    key: the layer's name, or ``source>consumer@row`` of a passage.
    """

    key: str
    box: Box | None

    @property
    def width(self) -> int:
        return _BOX[0] if self.box else _PASSAGE


def draw(graph: NetworkGraph, notes: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the SVG text of a verified graph.

    notes: short text for a layer's box, such as its bits (quantisation.plan.bit_notes), by layer
    name; layers without one get none.
    """
    boxes = []
    for layer in graph.layers:
        shape = "×".join(map(str, graph.shapes[layer.name]))
        note = f"{shape}  {notes.get(layer.name, '')}".strip()
        tip = f"{layer.name}: {layer.spec}"
        boxes.append(Box(layer.name, tuple(layer.inputs), describe(layer), note, tip))
    return draw_boxes(graph.name, boxes)


def draw_boxes(name: str, boxes: Sequence[Box]) -> str:
    """Return the SVG text of a network called ``name``; boxes: producers before consumers."""
    rows, chains = _rows(boxes)
    rows = _untangle(rows, chains)
    widths = [sum(p.width for p in row) + _GAP[0] * (len(row) - 1) for row in rows]
    width = max(widths) + 2 * _MARGIN
    height = len(rows) * (_BOX[1] + _GAP[1]) - _GAP[1] + 2 * _MARGIN
    centres: dict[str, tuple[float, float]] = {}
    for index, row in enumerate(rows):
        x = (width - widths[index]) / 2
        y = _MARGIN + index * (_BOX[1] + _GAP[1]) + _BOX[1] / 2
        for place in row:
            centres[place.key] = (x + place.width / 2, y)
            x += place.width + _GAP[0]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label={quoteattr(f"network {name}")} '
        'font-family="system-ui, sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#5f6b7a"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *(_edge([centres[key] for key in chain]) for chain in chains),
        *(_drawn(place.box, centres[place.key]) for row in rows for place in row if place.box),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


# Layout --------------------------------------------------------------------------------------


def _rows(boxes: Sequence[Box]) -> tuple[list[list[_Place]], list[list[str]]]:
    """Return the places of every row, and every edge as the keys of the places it runs through.

    Rows are from the input down; a layer's is one below the lowest of its inputs. An edge's keys
    are from source to consumer, both included; a source that a layer reads twice gives one edge.
    """
    depth: dict[str, int] = {}
    for box in boxes:
        depth[box.name] = 1 + max((depth[source] for source in box.inputs), default=-1)
    rows: list[list[_Place]] = [[] for _ in range(max(depth.values()) + 1)]
    chains: list[list[str]] = []
    for box in boxes:
        rows[depth[box.name]].append(_Place(box.name, box))
        for source in dict.fromkeys(box.inputs):
            chain = [source]
            for row in range(depth[source] + 1, depth[box.name]):
                chain.append(f"{source}>{box.name}@{row}")
                rows[row].append(_Place(chain[-1], None))
            chains.append([*chain, box.name])
    return rows, chains


def _untangle(rows: list[list[_Place]], chains: list[list[str]]) -> list[list[_Place]]:
    """Order each row by its neighbours' mean position (barycentre method), down and up in turn.

    rows, chains: from ``_rows``. ``rows`` is changed in place and returned. A sweep down looks at
    the row above, a sweep up at the row below; a place without neighbours there keeps its position.
    """
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for sweep in range(_SWEEPS):
        near = above if sweep % 2 == 0 else below
        order = range(len(rows)) if sweep % 2 == 0 else reversed(range(len(rows)))
        position = {p.key: i / len(row) for row in rows for i, p in enumerate(row)}
        for index in order:
            means = {
                place.key: _mean(
                    [position[key] for key in near.get(place.key, [])], position, place
                )
                for place in rows[index]
            }
            rows[index] = sorted(rows[index], key=lambda place, m=means: m[place.key])  # type: ignore[misc]
            for i, place in enumerate(rows[index]):
                position[place.key] = i / len(rows[index])
    return rows


def _mean(values: list[float], position: dict[str, float], place: _Place) -> float:
    return sum(values) / len(values) if values else position[place.key]


# Marks ---------------------------------------------------------------------------------------


def _edge(points: list[tuple[float, float]]) -> str:
    half = _BOX[1] / 2
    x, y = points[0]
    path = f"M{x:.0f} {y + half:.0f}"
    y += half
    for index, (next_x, next_y) in enumerate(points[1:], start=1):
        middle = next_y - half - _GAP[1] / 2
        path += f" C{x:.0f} {middle:.0f} {next_x:.0f} {middle:.0f} {next_x:.0f} {next_y - half:.0f}"
        x, y = next_x, next_y + half
        if index < len(points) - 1:
            path += f" L{x:.0f} {y:.0f}"
    return (
        f'<path d="{path}" fill="none" stroke="#5f6b7a" stroke-width="1.5" marker-end="url(#tip)"/>'
    )


def _drawn(box: Box, centre: tuple[float, float]) -> str:
    (width, height), (x, y) = _BOX, centre
    lines = (
        (y - 12, 13, "600", "#1c2733", box.name),
        (y + 4, 11, "400", "#3b4754", box.text),
        (y + 20, 11, "400", "#5f6b7a", box.note),
    )
    text = "".join(
        f'<text x="{x:.0f}" y="{top:.0f}" font-size="{size}" font-weight="{weight}" fill="{ink}" '
        f'text-anchor="middle">{escape(line)}</text>'
        for top, size, weight, ink, line in lines
    )
    return (
        f"<g><title>{escape(box.tip or box.name)}</title>"
        f'<rect x="{x - width / 2:.0f}" y="{y - height / 2:.0f}" width="{width}" '
        f'height="{height}" rx="7" fill="{box.fill}" stroke="#9aa5b1"/>{text}</g>'
    )


def describe(layer: Layer) -> str:
    """Return a short description of a layer: ``conv2d 3×3 /2 groups 4 + bn + relu``.

    ``/2`` is the stride, left out if it is 1.
    """
    fields = {f.name: getattr(layer.spec, f.name) for f in dataclasses.fields(layer.spec)}
    words = [layer.spec.op]
    if "kernel" in fields:
        words.append("×".join(map(str, fields["kernel"])))
    if fields.get("stride", (1, 1)) != (1, 1):
        words.append("/" + "×".join(map(str, dict.fromkeys(fields["stride"]))))
    if fields.get("groups", 1) > 1:
        words.append(f"groups {fields['groups']}")
    if "kind" in fields:
        words.append(fields["kind"])
    words += [
        f"+ {word}" for key, word in (("batch_norm", "bn"), ("relu", "relu")) if fields.get(key)
    ]
    return " ".join(words)
