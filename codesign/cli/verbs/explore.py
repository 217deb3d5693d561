"""``codesign explore``: search, build and verify a network and its NPU under an FPGA budget."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.cli import live_table, search_arguments, search_options
from codesign.cli.console import Console, table
from codesign.goals import heading
from codesign.report import Candidate, comparison
from codesign.results import UserError
from models.data.targets import CLASSES

if TYPE_CHECKING:
    from codesign.explore import ExploreResult

NAME = "explore"
HELP = "search network, bit widths and NPU together under a budget; build and verify the best"
DESCRIPTION = """\
Search for a neural network, its bit widths and an NPU together, within the
resources of an FPGA. Candidates are estimated first; some networks that fit are
trained briefly, the most promising of these in full; the best design is
synthesised, built and verified in simulation. Validation accuracies within one
standard error of their difference count as equal; among equals, the highest
throughput wins, then fewest LUTs, then fewest block RAMs (--prefer).

With --network the network is given, and its bits and the NPU are searched; with
--zoo several are given, and one of them is chosen, too.

Input:   a budget (--lut-budget, --device or both) and a data set.
Output:  in the folder --out: build/NAME/ with Verilog, program, test bench and
         report.html; summary.json with all figures; the state of the search.

Trials are kept in --out, or in a --storage from which codesign worker, on any
number of machines, takes networks to train.

After an interruption, the same command with --resume continues the search.
Another search that is in --out is kept, in the subfolder .replaced once a design
within the budget is found, until this one has succeeded; files that no search wrote
stay. With --config only an --out on the command line replaces another search.
Exit status: 0 success, 1 the simulation differs, the budget is missed after
synthesis or simulation, or a tool failed, 2 bad input or missing tool, 3 no
feasible design."""
EXAMPLES = """\
  codesign explore --lut-budget 30000
  codesign explore --lut-budget 8000 --device xc7s25 --min-throughput 2000 --out runs/small
  codesign explore --lut-budget 30000 --dataset fashion-mnist --data-dir ~/data --time-limit 60
  codesign explore --lut-budget 30000 --boo 2 --boo-within 0.5    # prefer weights with few bits set
  codesign explore --network resnet8/ --lut-budget 15000 --dataset cifar10.zip --keep-accuracy 1
  codesign explore --zoo networks/ --lut-budget 15000 --dataset cifar10.zip
  codesign explore --config search.yaml --resume"""
_EXPECTED_S = {"search": 120.0, "synthesis": 90.0, "verification": 60.0}
"""Usual seconds, by name, of the stages that report no steps, or none for long."""


def arguments(parser: argparse.ArgumentParser) -> None:
    search_arguments.add_to(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    if args.task not in (None, CLASSES):
        raise UserError(
            f"--task {args.task}: explore searches for classifiers alone; codesign train and build "
            f"take a design with dataset.task: {args.task}, and codesign build a float network: "
            f"codesign build NETWORK --task {args.task} --dataset FILE --npu FILE --finetune EPOCHS"
        )
    settings = search_options.merge(args.config, vars(args)).settings()
    # A search file may come from elsewhere: where the user did not say so, it replaces nothing.
    said = args.config is None or args.out is not None
    settings = dataclasses.replace(settings, replace=said)
    from codesign import explore  # takes seconds to import, so the options are checked first

    def progress(stage: str, done: float, total: float, note: str) -> None:
        console.progress(stage, done, total, note, expected_s=_EXPECTED_S.get(stage))

    for note in settings.notes:
        console.warn(note)
    shown: list[explore.Standing] = []

    def tell(standing: explore.Standing) -> None:
        if not shown:
            console.row(live_table.HEAD)
        shown.append(standing)
        console.row(live_table.row(standing))

    result = explore.explore(settings, progress, console.warn, tell)
    show(result, settings.out, console)
    # For scripts as train and evaluate have it: shares with their intervals.
    console.result({**result.summary, "accuracy": result.summary["scores"]})
    return result.status


def show(result: ExploreResult, out: Path, console: Console) -> None:
    """Print the Pareto front, the chosen design, and its estimates beside measurements."""
    console.say(front_table(result.candidates))
    console.say()
    console.say(f"searched:      {_searched(result.summary['search'])}")
    if result.finished.build:
        accuracy = result.finished.accuracy
        console.say(f"chosen design: {result.finished.build / 'design.yaml'}")
        console.say(f"build folder:  {result.finished.build}")
        shown = [
            f"{100 * accuracy[part]:.2f} % {part} ({one['images']:,} images, "
            f"{100 * one['low']:.1f} - {100 * one['high']:.1f} %)"
            for part, one in result.summary["scores"].items()
        ]
        console.say(f"accuracy:      {', '.join(shown)}")
    if result.summary["layers"]:
        console.say(_layers(result.summary["layers"]))
    weights = result.finished.weights
    if weights:
        console.say(
            f"weights:       {weights.weights:,} with {weights.ones:,} one-bits "
            f"({weights.ones_per_weight:.2f} per weight)"
        )
    simulated, mapped = result.finished.verification, result.finished.synthesised
    if simulated:
        exact = "bit-exact" if simulated.bit_exact else "NOT bit-exact"
        console.say(f"simulation:    {simulated.images} images, {exact}")
    estimate = result.finished.estimate
    if estimate and mapped and mapped.figures.luts:
        macs = estimate.plan.schedule.config.macs
        console.say(
            f"array:         {macs} products per cycle, "
            f"{100 * estimate.plan.utilisation:.1f} % utilisation over a whole image, "
            f"{mapped.figures.luts / macs:.1f} LUTs per product"
        )
    console.say()
    rows = comparison.rows(
        estimate.figures if estimate else None,
        simulated.figures if simulated else None,
        mapped.figures if mapped else None,
        estimate.intervals if estimate else {},
    )
    console.say(table(comparison.HEAD, rows))
    for note in result.summary["notes"]:
        console.say(f"note: {note}")
    console.say()
    page = result.summary["report"]
    report = f", report: {out / page}" if page else ""
    console.say(f"summary: {out / 'summary.json'}{report}")
    if result.problem:
        console.warn(result.problem)


def front_table(candidates: Sequence[Candidate]) -> str:
    """Format the Pareto front as a table, best accuracy first, with the chosen design marked.

    The chosen design is in it even if it is not on the front.
    """
    front = sorted(
        (one for one in candidates if one.on_front or one.chosen), key=lambda one: -one.accuracy
    )
    rows = [
        (
            one.label,
            f"{100 * one.accuracy:.2f} %",
            "full" if one.trained_fully else "short",
            f"{one.images_per_second:,.0f}",
            f"{one.luts:,.0f}",
            *((f"{one.one_bits:,}",) if one.one_bits is not None else ()),
            *(comparison.show(value) for value in one.objectives.values()),
            "<- chosen" if one.chosen else "",
        )
        for one in front
    ]
    priced = any(one.one_bits is not None for one in front)
    head = ("Pareto front (estimates)", "validation", "training", "images/s", "LUTs")
    further = [heading(name) for name in (front[0].objectives if front else ())]
    return table((*head, *(("one-bits",) if priced else ()), *further, ""), rows)


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    """Format what became of each layer of the given network as a table."""
    rows = [
        (
            one["name"],
            one["bound"],
            f"{one['channels']} of {one['of_channels']}",
            str(one["weight_bits"]),
            str(one["activation_bits"] or ""),
            one["sparsity"] or "dense",
            f"{one['cycles']:,}",
        )
        for one in layers
    ]
    head = ("layer", "bound by", "channels", "weights", "outputs", "pattern", "cycles")
    return table(head, rows, left=2)


def _one_in(share: float) -> str:
    """Return 1 / ``share`` as text, with a decimal where it is below 10."""
    return f"{1 / share:,.{1 if share > 0.1 else 0}f}"


def _searched(search: Mapping[str, Any]) -> str:
    """Say how much of the space was looked at, and how much of it is feasible."""
    share, (low, high) = search["feasible_share"], search["feasible_share_interval"]
    feasible = (
        f"about 1 in {_one_in(share)} of the space (95 %: {_one_in(high)} to {_one_in(low)}) is"
        if share
        else f"at most 1 in {_one_in(high)} of the space (95 %) is"
    )
    size = search["space_size"]
    shown = f"{size:,}" if size < 1e6 else f"{size:.1e}"
    return f"{search['evaluations']:,} of {shown} designs; {feasible} within the budget"
