"""SVG building blocks of the charts: escaped elements, number formats, axes with ticks."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence


def element(tag: str, content: str = "", **attributes: object) -> str:
    """Return an SVG element as text. ``content`` is markup; attribute values are escaped.

    In attribute names a trailing underscore (``class_``) is dropped and others become hyphens.
    Attributes that are None are left out; floats are rounded to two decimals.

    >>> element("line", x1=0, x2=2.5, class_="grid", stroke_width=2)
    '<line x1="0" x2="2.5" class="grid" stroke-width="2"/>'
    """
    parts = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{parts}>{content}</{tag}>" if content else f"<{tag}{parts}/>"


def _plain(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(x: float, y: float, content: str, class_: str = "label", **attributes: object) -> str:
    """Return a text element at a position in pixels; ``content`` is escaped.

    The attribute ``anchor`` is start, middle or end.
    """
    anchor = attributes.pop("anchor", None)
    return element(
        "text", html.escape(content), x=x, y=y, class_=class_, text_anchor=anchor, **attributes
    )


def titled(tag: str, tooltip: str, **attributes: object) -> str:
    """Return a shape with a tooltip, escaped, which screen readers also read."""
    return element(tag, element("title", html.escape(tooltip)), **attributes)


def chart(width: int, height: int, name: str, content: str) -> str:
    """Return an SVG figure that scales with the page and has a name for screen readers.

    width, height: size of the coordinate system of ``content``, which is markup.
    """
    return element(
        "svg",
        content,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=name,
        class_="chart",
        # The smallest width keeps text legible on a phone, where the figure then scrolls sideways;
        # the largest keeps a figure that is alone in its row from growing too large.
        style=f"min-width:{round(0.73 * width)}px;max-width:{round(1.2 * width)}px",
    )


_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def compact(value: float) -> str:
    """Return a number as short text for axes and tiles, with a suffix from 10,000 on.

    It has three significant digits, or those of its whole part if it has no suffix and is whole or
    100 or more.

    >>> compact(1234567), compact(29870), compact(0.5)
    ('1.23M', '29.9k', '0.5')
    """
    if abs(value) >= 1e4:
        rounded = float(f"{value:.3g}")  # which may need the next suffix
        unit, suffix = next((u, s) for u, s in _SUFFIXES if abs(rounded) >= u)
        scaled = rounded / unit
        return f"{scaled:,.0f}{suffix}" if abs(scaled) >= 1000 else f"{scaled:.3g}{suffix}"
    whole = value == round(value) or abs(value) >= 100
    return f"{value:,.0f}" if whole else f"{value:.3g}"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return up to ``count`` + 1 round numbers in [low, high], evenly spaced, ascending.

    They are the multiples of 1, 2 or 5 times 10**n.
    """
    span = max(high - low, 1e-12)
    step = 10.0 ** math.floor(math.log10(span / count))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times 10**n in [low, high]; only 10**n if high / low is above 1000.

    ``low`` and ``high`` are > 0 (not checked); values up to 0.1 % outside are included.
    """
    factors: Sequence[int] = (1,) if high / low > 1e3 else (1, 2, 5)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [factor * 10.0**decade for decade in decades for factor in factors]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]


class Axis:
    """A linear or logarithmic mapping from values to pixel coordinates, with ticks.

    Value ``low`` is at coordinate ``start``, ``high`` at ``end``. They differ, and with ``log``
    both are > 0 (not checked); values outside are mapped to coordinates outside.

    >>> axis = Axis(0, 200, start=50, end=550)
    >>> axis(100), axis.ticks()
    (300.0, [0.0, 50.0, 100.0, 150.0, 200.0])
    """

    def __init__(
        self, low: float, high: float, start: float, end: float, *, log: bool = False
    ) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high, count)


def grid(x: Axis, y: Axis, x_title: str, y_title: str, *, percent: bool = False) -> str:
    """Return grid lines, tick labels and both axis titles as markup.

    ``percent`` shows y, a fraction, in per cent.
    """
    parts = []
    for value in x.ticks():
        at = x(value)
        parts.append(element("line", x1=at, x2=at, y1=y.start, y2=y.end, class_="grid"))
        parts.append(text(at, y.start + 18, compact(value), anchor="middle"))
    for value in y.ticks():
        at = y(value)
        label = f"{100 * value:.4g} %" if percent else compact(value)
        parts.append(element("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"))
        parts.append(text(x.start - 8, at + 4, label, anchor="end"))
    middle = (x.start + x.end) / 2
    parts.append(text(middle, y.start + 38, x_title, "title", anchor="middle"))
    parts.append(text(x.start - 46, y.end - 14, y_title, "title"))
    return "".join(parts)
