"""The NPU's block diagram as SVG, labelled with the parameters of a configuration."""

from __future__ import annotations

from codesign.report.svg import chart, element, text
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import WORD_BITS
from rtl_gen.parameters import STREAM_BITS

WIDTH, HEIGHT = 768, 404


def _box(x: int, y: int, width: int, height: int, kind: str, *lines: str) -> str:
    """Draw a block with its name (first line) and its sizes below.

    x, y: upper left corner, in pixels as all sizes. kind: class of the style.
    """
    middle = x + width / 2
    top = y + height / 2 - 9 * (len(lines) - 1) + 5
    captions = (
        text(middle, top + 18 * index, line, "label" if index else "strong", anchor="middle")
        for index, line in enumerate(lines)
    )
    shape = element("rect", x=x, y=y, width=width, height=height, rx=6, class_=f"block {kind}")
    return shape + "".join(captions)


def _arrow(points: str, label: str = "", at: tuple[int, int] = (0, 0)) -> str:
    line = element("polyline", points=points, class_="wire", marker_end="url(#tip)")
    return line + (text(*at, label, anchor="middle") if label else "")


def _sheets(npu: NpuConfig) -> int:
    """Return the number of sheets that depict the array: one per pixel lane, four at most."""
    return min(npu.pixels, 4)


def _array(x: int, y: int, npu: NpuConfig) -> str:
    """Draw the array as stacked sheets (``_sheets``), with its sizes.

    The front sheet, whose upper left corner is (x, y) in pixels, has a grid of lanes (down) and
    columns (across), at most 6 x 8.
    """
    parts = []
    for index in reversed(range(_sheets(npu))):
        left, top = x + 9 * index, y - 9 * index
        parts.append(
            element("rect", x=left, y=top, width=176, height=118, rx=6, class_="block array")
        )
    columns, rows = min(npu.columns, 8), min(npu.lanes, 6)
    for column in range(1, columns):
        at = x + 176 * column / columns
        parts.append(element("line", x1=at, x2=at, y1=y, y2=y + 118, class_="cell"))
    for row in range(1, rows):
        at = y + 118 * row / rows
        parts.append(element("line", x1=x, x2=x + 176, y1=at, y2=at, class_="cell"))
    parts.append(element("rect", x=x + 16, y=y + 28, width=144, height=64, rx=6, class_="plate"))
    macs = f"{npu.macs:,} products / cycle"
    size = f"{npu.pixels} × {npu.lanes} × {npu.columns}"
    for index, line in enumerate(("MAC array", f"P × N × M = {size}", macs)):
        class_ = "label" if index else "strong"
        parts.append(text(x + 88, y + 48 + 18 * index, line, class_, anchor="middle"))
    return "".join(parts)


def draw(npu: NpuConfig) -> str:
    """Return the NPU's block diagram as SVG markup, to be styled by the page."""
    tip = element(
        "marker",
        element("path", d="M0 0 8 4 0 8z", class_="tip"),
        id="tip",
        viewBox="0 0 8 8",
        refX=7,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto",
    )
    word = f"{npu.lanes} × {npu.activation_bits} bit"
    digit = f"{npu.weight_digit_bits} bit"
    behind = 9 * (_sheets(npu) - 1)
    parts = [
        element("defs", tip),
        _box(
            96,
            16,
            190,
            64,
            "control",
            "Registers, sequencer",
            f"program {npu.program_depth} × {WORD_BITS}",
        ),
        _box(
            330,
            16,
            190,
            64,
            "memory",
            "Weight buffer",
            f"{npu.weight_depth:,} × {npu.weight_word_bits} bit",
        ),
        _box(
            96,
            158,
            190,
            112,
            "memory",
            "Activation banks",
            f"{npu.pixels} × {npu.activation_depth:,} words",
            f"of {word}",
            "rotation, padding",
        ),
        _array(330, 156, npu),
        _box(
            590,
            158,
            158,
            112,
            "memory",
            "Accumulators",
            f"{npu.pixels} × {npu.columns}",
            f"of {npu.accumulator_bits} bit",
        ),
        _box(
            590,
            318,
            158,
            70,
            "post",
            f"{npu.post_units} post unit{'s' if npu.post_units > 1 else ''}",
            f"bias, × {npu.scale_bits} bit, clamp,",
            "max pool",
        ),
        _box(
            330,
            318,
            190,
            70,
            "memory",
            "Result buffer",
            f"{npu.result_depth} × {npu.post_units} × {npu.accumulator_bits} bit",
        ),
        _box(
            590, 16, 158, 64, "memory", "Channel table", f"{npu.channel_depth} × {npu.post_units}"
        ),
        _arrow("8,48 92,48", "AXI4-Lite", (48, 40)),
        _arrow("8,214 92,214", "s_axis", (46, 206)),
        text(46, 232, f"{STREAM_BITS} bit", anchor="middle"),
        _arrow("286,48 326,48"),
        _arrow(f"425,80 425,{152 - behind}"),
        text(434, 104, f"{npu.lanes * npu.columns} digits of {digit}", anchor="start"),
        _arrow("286,214 326,214"),
        _arrow(f"{508 + behind},214 586,214"),
        _arrow("669,270 669,314"),
        _arrow("748,48 758,48 758,353 752,353"),
        _arrow("590,353 524,353"),
        _arrow("330,353 92,353", "m_axis: logits", (200, 345)),
        _arrow("630,318 630,294 191,294 191,274", "activation codes", (250, 288)),
    ]
    return chart(WIDTH, HEIGHT, "Block diagram of the NPU", "".join(parts))
