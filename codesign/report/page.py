"""The HTML page of a report: verdicts, key figures, charts, tables and facts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources as package_files
from pathlib import Path

from codesign.build import manifest
from codesign.fpga.placement import CriticalPath
from codesign.goals import heading
from codesign.report import charts, comparison, curves, npu_picture
from codesign.report.data import ReportData
from codesign.report.svg import compact
from codesign.results import Figures
from models.files.writing import atomic_file


def write(data: ReportData, path: Path) -> Path:
    """Write the page to ``path`` atomically and return ``path``. Raises OSError, UserError.

    A page in a build folder enters its manifest: another build there removes it.
    """
    page = render(data).encode()
    if manifest.is_build(path.parent):
        manifest.add(path.parent, path.name, page)
        return path
    with atomic_file(path) as file:
        file.write(page)
    return path


def render(data: ReportData) -> str:
    """Return the HTML page; it loads nothing from the network."""
    body = "".join((_badges(data), _tiles(data), layout(list(_cards(data)))))
    return document(data.name, _lead(data), body)


def document(title: str, lead: str, body: str) -> str:
    """Return a whole HTML page with the report's style; ``body`` is markup, the rest text."""
    style = package_files.files("codesign.report").joinpath("style.css").read_text("utf-8")
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: codesign report</title><style>{style}</style></head>"
        f'<body><main><h1>{name}</h1><p class="lead">{html.escape(lead)}</p>{body}</main></body>'
        "</html>\n"
    )


def _lead(data: ReportData) -> str:
    npu = data.npu
    shape = f"{npu.pixels} × {npu.lanes} × {npu.columns} array"
    parts = [shape, f"{npu.weight_digit_bits}-bit weight digits"]
    if npu.sparsity != "dense":
        parts.append(f"{npu.sparsity} sparse")
    if npu.binary_weights:
        parts.append("weights of +1 and -1 in one pass")
    parts.append(f"{npu.activation_bits}-bit activations, {data.clock_mhz:g} MHz")
    if data.device:
        parts.append(f"{data.device} (assumed)" if data.device_assumed else data.device)
    return ", ".join(parts)


def _badges(data: ReportData) -> str:
    verdicts: list[tuple[str, str]] = []
    if data.bit_exact is None:
        verdicts.append(("unknown", "not verified yet"))
    elif data.bit_exact:
        verdicts.append(("good", f"bit-exact on {data.verified_images} images in simulation"))
    else:
        verdicts.append(("bad", f"simulation differs: {data.mismatch or 'see the reports'}"))
    simulated = [row for row in data.layers if row.simulated_cycles is not None]
    if simulated:
        equal = all(row.simulated_cycles == row.cycles for row in simulated)
        text = "cycles as compiled in every layer" if equal else "simulated cycles differ"
        verdicts.append(("good" if equal else "bad", text))
    limit = data.budget.luts if data.budget else None
    if limit is not None and data.synthesised and data.synthesised.luts is not None:
        fits = data.synthesised.luts <= limit
        text = f"{'within' if fits else 'over'} {limit:,.0f} LUTs after synthesis"
        verdicts.append(("good" if fits else "bad", text))
    items = "".join(f'<li class="{kind}">{html.escape(text)}</li>' for kind, text in verdicts)
    return f'<ul class="badges">{items}</ul>'


def _tiles(data: ReportData) -> str:
    measured, predicted = data.synthesised or Figures(), data.estimate or Figures()
    simulated = data.simulated or Figures()
    rate = simulated.images_per_second or predicted.images_per_second
    cycles = simulated.cycles_per_image or predicted.cycles_per_image
    luts = measured.luts or predicted.luts
    tiles: list[tuple[str, str]] = []
    if data.accuracy_test is not None:
        tiles.append((f"{100 * data.accuracy_test:.2f} %", "test accuracy"))
    if rate is not None:
        tiles.append((compact(rate), f"images/s at {data.clock_mhz:g} MHz"))
    if cycles is not None:
        tiles.append((compact(cycles), "cycles per image"))
    if luts is not None:
        source = "synthesised" if measured.luts else "estimated"
        tiles.append((compact(luts), f"LUTs, {source}"))
        tiles.append((f"{luts / data.npu.macs:.1f}", "LUTs per product/cycle"))
    if data.utilisation is not None:
        tiles.append((f"{100 * data.utilisation:.1f} %", "MAC utilisation in layers"))
    cells = "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>'
        for value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>'


@dataclass(frozen=True)
class Card:
    """A section of the page; ``note`` and ``body`` are markup, ``title`` is text. Narrow ones pair.

    note: left out if empty. wide: the whole width, else half of it.

    >>> Card("NPU", "", "<p>4 x 16 x 16</p>").markup(alone=False)
    '<section><h2>NPU</h2><div class="scroll"><p>4 x 16 x 16</p></div></section>'
    """

    title: str
    note: str
    body: str
    wide: bool = False

    def markup(self, *, alone: bool) -> str:
        """Return the section as markup; ``alone`` gives it the whole width."""
        kind = ' class="wide"' if self.wide or alone else ""
        note = f'<p class="note">{self.note}</p>' if self.note else ""
        body = f'<div class="scroll">{self.body}</div>'
        return f"<section{kind}><h2>{html.escape(self.title)}</h2>{note}{body}</section>"


def layout(cards: Sequence[Card]) -> str:
    """Return the cards in order as markup; of an odd number of narrow cards the last is wide."""
    halves = [card for card in cards if not card.wide]
    odd = halves[-1] if len(halves) % 2 else None
    return f'<div class="cards">{"".join(card.markup(alone=card is odd) for card in cards)}</div>'


def _objectives(data: ReportData) -> str:
    """Name the objectives of the search in words, one-bits only if they are one."""
    names = ["accuracy", "throughput", "LUTs"]
    if any(one.one_bits is not None for one in data.candidates):
        names.append("one-bits")
    names += [heading(name) for name in data.candidates[0].objectives]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _cards(data: ReportData) -> Iterable[Card]:
    """Yield the page's sections in reading order; sections without data are left out."""
    if any((data.estimate, data.simulated, data.synthesised)):
        notes = html.escape(" ".join(f"{note[:1].upper()}{note[1:]}." for note in data.notes))
        yield Card("Estimate against measurement", notes, _figures_table(data), wide=True)
    if data.candidates:
        yield Card(
            "Pareto front",
            "Trained networks on NPUs within the budget. Area shows LUTs; none beats a blue one in "
            f"{_objectives(data)} at once. Filled dots, solid line: accuracies of full trainings; "
            "hollow, dashed: of short ones, which are lower. Lines: accuracy against throughput "
            "alone.",
            charts.front(data.candidates),
        )
    for name, history in data.curves.items():
        yield Card(
            f"Learning curve, {name} training",
            curves.legend(history),
            curves.draw(history, data.score),
        )
    if any(row.macs and row.accumulations and row.cycles for row in data.layers):
        yield Card(
            "Roofline",
            "What bounds each layer: products per cycle, split by weight passes, or accumulators "
            "per cycle through the post-process units. Numbers as in the table of layers.",
            charts.roofline(data),
        )
    if any(getattr(f, "luts", None) is not None for f in (data.estimate, data.synthesised)):
        yield Card(
            "Resources",
            "Bar: synthesised (pale: estimated only). Upright mark: the estimate.",
            charts.resources(data),
        )
    if data.layers:
        legend = (
            '<i class="legend" style="background:var(--blue)"></i> useful products &nbsp; '
            '<i class="legend" style="background:var(--pale)"></i> idle array &nbsp; '
            '<i class="legend" style="background:var(--grey)"></i> streaming'
        )
        yield Card("Cycles and MAC utilisation", legend, charts.cycles(data))
        yield Card("Layers", "", _layers_table(data), wide=True)
    if data.critical_path:
        path = data.critical_path
        note = f"{path.logic_ns:.2f} ns logic, {path.routing_ns:.2f} ns routing"
        yield Card("Critical path", note, _path_table(path), wide=True)
    yield Card("NPU", "", npu_picture.draw(data.npu), wide=True)
    if data.network_svg:
        yield Card("Network", "", f'<div class="drawing">{data.network_svg}</div>', wide=True)
    if data.facts:
        items = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in data.facts
        )
        yield Card("How this was made", "", f"<dl>{items}</dl>", wide=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text_columns: set[int]) -> str:
    """Return a table as markup, cells escaped; columns in ``text_columns`` are aligned left.

    text_columns: indices from 0; others are aligned right.
    """

    def cell(tag: str, index: int, value: str) -> str:
        kind = ' class="text"' if index in text_columns else ""
        return f"<{tag}{kind}>{html.escape(value)}</{tag}>"

    header = "".join(cell("th", index, name) for index, name in enumerate(head))
    lines = (
        "<tr>" + "".join(cell("td", index, value) for index, value in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _figures_table(data: ReportData) -> str:
    rows = comparison.rows(data.estimate, data.simulated, data.synthesised, data.intervals)
    return table(comparison.HEAD, rows, set())


def _path_table(path: CriticalPath) -> str:
    rows = [[hop.name, f"{hop.logic_ns:.2f}", f"{hop.routing_ns:.2f}"] for hop in path.hops]
    return table(["signal", "logic, ns", "routing, ns"], [*rows, [path.end, "", ""]], {0})


def _layers_table(data: ReportData) -> str:
    head = ["#", "layer", "op", "output", "weights", "passes", "MACs", "cycles", "simulated", "use"]
    head.append("bound by")
    rows = []
    number = 0
    for row in data.layers:
        number += bool(row.macs)
        simulated = "—" if row.simulated_cycles is None else f"{row.simulated_cycles:,}"
        rows.append(
            [
                str(number) if row.macs else "",
                row.name,
                row.op,
                row.output,
                f"{row.weight_bits} bit" if row.weight_bits else "",
                str(row.passes) if row.macs else "",
                f"{row.macs:,}" if row.macs else "",
                f"{row.cycles:,}",
                simulated,
                f"{100 * row.utilisation(data.npu):.1f} %" if row.macs else "",
                row.bound,
            ]
        )
    return table(head, rows, {1, 2, 3, 10})
