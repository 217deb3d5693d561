"""The README's picture: a search's Pareto front beside the block diagram of the NPU that it chose.

``python -m benchmarks.overview_picture runs/explore [docs/overview.svg]``

Both parts are those of the run's HTML report, put side by side in one self-contained SVG.
"""

from __future__ import annotations

import argparse
import re
from importlib import resources
from pathlib import Path

from codesign.report import ReportData, charts, collect, npu_picture

PARTS = (600, 768)
"""Widths of the two pictures, in their own units."""
HEIGHT = 404
GAP, TOP = 36, 44
HEADS = ("Pareto front of one search", "The NPU that it chose")


def style() -> str:
    """The report's rules for charts, with the values of its colours (light scheme) put in.

    Rules with colours that only comparisons of runs have are left out.
    """
    text = resources.files("codesign.report").joinpath("style.css").read_text("utf-8")
    values = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", text.partition("@media")[0]))
    rules = re.findall(r"^\.[^{]*\{[^}]*\}.*$", text[text.index("svg.chart") :], re.MULTILINE)
    used = [(rule, set(re.findall(r"var\((--[\w-]+)\)", rule))) for rule in rules]
    known = "\n".join(rule for rule, names in used if names <= values.keys())
    return re.sub(r"var\((--[\w-]+)\)", lambda m: values[m[1]], known)


def picture(data: ReportData) -> str:
    """The SVG text. Raises ValueError for a build folder that no search made."""
    if not data.candidates:
        raise ValueError("no search: give the folder of a codesign explore")
    drawings = (charts.front(data.candidates), npu_picture.draw(data.npu))
    width = sum(PARTS) + 3 * GAP
    pieces = []
    left = GAP
    for head, part, drawing in zip(HEADS, PARTS, drawings, strict=True):
        nested = re.sub(r'^<svg viewBox="([^"]*)"', rf'<svg x="{left}" y="{TOP}" width="{part}" '
                        rf'height="{HEIGHT}" viewBox="\1"', drawing)  # fmt: skip
        pieces.append(f'<text x="{left}" y="30" class="head">{head}</text>{nested}')
        left += part + GAP
    extra = ".head { font-size: 19px; font-weight: 700; fill: #16191d; }"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + TOP + GAP}" '
        "font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif\" "
        f'role="img" aria-label="{" and ".join(HEADS)}"><style>{style()}\n{extra}</style>'
        f'<rect width="100%" height="100%" rx="14" fill="#ffffff"/>{"".join(pieces)}</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="the folder of a codesign explore")
    parser.add_argument("out", type=Path, nargs="?", default=Path("docs/overview.svg"))
    args = parser.parse_args()
    args.out.write_text(picture(collect.from_folder(args.run)))


if __name__ == "__main__":
    main()
