"""The front on CIFAR-10 and designs of others: from the index and from what they publish."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.headline import index, published
from docs.generate.markdown import Generator, table
from docs.generate.sources import ROOT

_COUNTS = ("images/s", "test accuracy", "LUTs", "block RAM", "DSP")


def front() -> str:
    """A row a design, and how often the test split was touched."""
    entries = index.read(ROOT)
    rows = [
        (
            f"[{entry.name}](../../{entry.design})",
            f"{entry.images_per_second:,.0f}",
            f"{100 * entry.test_accuracy:.2f} %",
            f"{entry.luts:,}",
            f"{entry.brams:g}",
            str(entry.dsps),
            f"{entry.cycles_per_image:,}",
            "-" if entry.fmax_mhz is None else f"{entry.fmax_mhz:.1f}",
            str(entry.test_evaluations),
        )
        for entry in sorted(entries, key=lambda entry: (entry.luts, entry.images_per_second))
    ]
    head = ("design", *_COUNTS, "cycles an image", "MHz, ECP5", "looks at the test split")
    looks = sum(entry.test_evaluations for entry in entries)
    said = f"Networks whose test accuracy was looked at, in all: {looks}.\n"
    return f"{table(head, rows)}\n{said}"


def others() -> str:
    """A row a design of others."""
    rows = [
        (
            one.name,
            f"{one.images_per_second:,.0f}",
            f"{100 * one.accuracy:.2f} %",
            f"{one.luts:,}",
            "-" if one.brams is None else f"{one.brams:g}",
            "-" if one.dsps is None else str(one.dsps),
            f"{one.clock_mhz:g} MHz, {one.part}",
            one.rate,
            one.source,
        )
        for one in published.read()
    ]
    return table(("design", *_COUNTS, "clock, part", "rate", "source"), rows)


GENERATORS: Mapping[str, Generator] = {"cifar10-front": front, "cifar10-published": others}
