"""The summary of a sweep: counts, parameter values covered, refusals, and every failure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.sweep.record import Line


def summarise(lines: Sequence[Line]) -> dict[str, Any]:
    """Return the results of all cases as one JSON object."""
    failures = [line for line in lines if line["failure"]]
    refused = Counter(reason for line in lines for reason in line.get("refused", ()))
    too_long = sum(line.get("too_long", 0) for line in lines)
    refusals = sum(refused.values())
    seconds = [line["seconds"] for line in lines if "seconds" in line]
    covered: dict[str, Counter[str]] = {}
    for line in lines:
        for kind, values in line.get("knobs", {}).items():
            covered.setdefault(kind, Counter()).update(values)
    return {
        "cases": len(lines),
        "failed": len(failures),
        "layers_compared": sum(line.get("layers_compared", 0) for line in lines),
        "instructions_compared": sum(line.get("instructions_compared", 0) for line in lines),
        "clocks": sum(line.get("clocks", 0) for line in lines),
        "stall_cycles": sum(line.get("stall_cycles", 0) for line in lines),
        "largest_macs": max((_macs(line) for line in lines), default=0),
        "refused": dict(refused.most_common()),
        "refused_share": refusals / max(refusals + too_long + len(lines), 1),
        "too_long": too_long,
        "mean_seconds": {
            kind: sum(one[kind] for one in seconds) / max(len(seconds), 1)
            for kind in ("all", "cpu")
        },
        "covered": {
            kind: dict(sorted(values.items(), key=_order))
            for kind, values in covered.items()
            if values
        },
        "failures": sorted(
            ({key: line.get(key) for key in ("seed", "failure", "npu", "layers", "smaller")}
             for line in failures), key=lambda failure: len(failure["layers"] or [])
        ),
    }  # fmt: skip


def _macs(line: Line) -> int:
    """Return the products per cycle of the case's array."""
    return math.prod(line.get("npu", {}).get(name, 0) for name in ("pixels", "lanes", "columns"))


def _order(item: tuple[str, int]) -> tuple[int, str]:
    """Sort numbers by value, before words."""
    word = item[0]
    return (int(word), "") if word.isdigit() else (1 << 32, word)


def text(summary: dict[str, Any]) -> str:
    """Return the summary as text; failures last, the smallest network first."""
    lines = [
        f"{summary['cases']} cases, {summary['failed']} failed: {summary['layers_compared']} layer "
        f"results and {summary['instructions_compared']} instructions compared over "
        f"{summary['clocks']} clocks ({summary['stall_cycles']} of them stalled)",
        f"largest array: {summary['largest_macs']} products a cycle; "
        f"{summary['mean_seconds']['all']:.1f} s a case, {summary['mean_seconds']['cpu']:.1f} s of "
        "processor time",
        f"refused by the compiler and drawn again: {100 * summary['refused_share']:.1f} % of all "
        f"points; too long for their seed's limit: {summary['too_long']}",
    ]
    lines += [f"  {count} for {reason}" for reason, count in summary["refused"].items()]
    lines.append("cases with each choice:")
    for kind, values in summary["covered"].items():
        counts = ", ".join(f"{value}: {count}" for value, count in values.items())
        lines.append(f"  {kind}: {counts}")
    for failure in summary["failures"]:
        lines += ["", f"FAILED: python -m tests.sweep --only {failure['seed']}"]
        lines += _failure(failure)
    return "\n".join(lines)


def _failure(failure: dict[str, Any]) -> list[str]:
    lines = [f"  {failure['failure']}"]
    smaller = failure["smaller"] or failure
    if smaller is not failure:
        lines.append("  smaller, on the same NPU:")
        lines.append(f"  {smaller['failure']}")
    lines += [f"    {layer}" for layer in smaller["layers"] or ()]
    npu = ", ".join(f"{name} {value}" for name, value in (failure["npu"] or {}).items())
    return [*lines, f"    NPU: {npu}"] if npu else lines
