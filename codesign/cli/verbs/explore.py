"""``codesign explore``: search, build and verify a network and its NPU under an FPGA budget."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.cli import options, search_options
from codesign.cli.console import Console, table
from codesign.fpga import devices
from codesign.report import Candidate, comparison
from codesign.results import AREA_CONFIDENCE, OLD_OPTIONS

if TYPE_CHECKING:
    from codesign.explore import ExploreResult

NAME = "explore"
HELP = "search network, bits and NPU together under a budget, then train, build and verify"
EXAMPLES = """\
  codesign explore --lut-budget 30000
  codesign explore --lut-budget 8000 --device xc7s25 --min-throughput 2000 --out runs/small
  codesign explore --lut-budget 30000 --dataset fashion-mnist --data-dir ~/data --time-limit 60
  codesign explore --lut-budget 30000 --boo 2 --boo-within 0.5    # few ones in the weights, too
  codesign explore --config search.yaml --resume
A config file holds the same options, with underscores; the command line wins over it.
Interrupted or killed, the same command with --resume goes on."""
_EXPECTED_S = {"search": 120.0, "synthesis": 90.0, "verification": 60.0}
"""Usual seconds of the stages that report no steps, or none for long."""


def arguments(parser: argparse.ArgumentParser) -> None:
    budget = parser.add_argument_group("budget: hard limits")
    limits = {
        "--lut-budget": "LUTs after synthesis",
        "--dsp-budget": "DSP slices (default: 0, so that LUTs pay for all arithmetic)",
        "--bram-budget": "36 Kb block RAMs",
        "--ff-budget": "flip-flops",
        "--min-throughput": "images per second",
        "--max-latency-us": "microseconds per image",
    }
    for flag, text in limits.items():
        budget.add_argument(flag, type=options.number(0), metavar="N", help=text)
    options.device(budget)
    budget.add_argument(
        "--clock-mhz",
        type=options.number(1, 1000),
        metavar="N",
        help="default: the device's, or 100",
    )
    search = parser.add_argument_group("search")
    search.add_argument(
        "--dataset",
        metavar="NAME",
        help="digits (default), mnist, fashion-mnist, cifar10, an .npz, image folder or zip",
    )
    search.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files")
    search.add_argument(
        "--space", metavar="FILE", help="search space (YAML), or the name of a shipped one"
    )
    search.add_argument("--optimiser", metavar="NAME", help="evolution (default) or random")
    search.add_argument(
        "--area-confidence",
        type=options.number(0.5, 0.99),
        metavar="SHARE",
        help="one-sided confidence level of the area bound that the budget is tested with: "
        f"higher rejects more designs that would have fitted (default: {AREA_CONFIDENCE})",
    )
    for old, new in OLD_OPTIONS.items():
        kind = type(getattr(search_options.SearchOptions, new))
        search.add_argument(f"--{old}", dest=new, type=kind, help=argparse.SUPPRESS)
    search.add_argument(
        "--area-model", metavar="FILE", help="of calibrate (default: the shipped data's)"
    )
    search.add_argument(
        "--networks", type=options.integer(1), metavar="N", help="networks to train briefly"
    )
    search.add_argument(
        "--epochs", type=options.integer(2), metavar="N", help="epochs of the full training"
    )
    options.boo(search)
    search.add_argument(
        "--boo-within",
        type=options.number(0, 100),
        metavar="POINTS",
        help="makes few one-bits of the weights an objective: of the designs within so many points "
        "of the best validation accuracy, the one with the fewest",
    )
    search.add_argument("--seed", type=options.integer(0), metavar="N", help="default: 0")
    search.add_argument(
        "--time-limit",
        type=options.number(0.1),
        metavar="MIN",
        help="for search and training; build, synthesis and simulation come on top",
    )
    search.add_argument(
        "--jobs", type=options.integer(1), metavar="N", help="processes side by side (default: 2)"
    )
    search.add_argument(
        "--images",
        type=options.integer(1),
        metavar="N",
        help="test images to simulate (default: 64)",
    )
    files = parser.add_argument_group("files")
    files.add_argument("--config", type=Path, metavar="FILE", help="a YAML file of these options")
    files.add_argument("--out", metavar="DIR", help="where all lands (default: runs/explore)")
    files.add_argument(
        "--resume", action="store_true", default=None, help="go on with what is in --out"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    # Cost models and training take seconds to import, so the options are checked first.
    wanted = search_options.merge(args.config, vars(args))
    budget = wanted.budget()
    from codesign import explore

    def progress(stage: str, done: float, total: float, note: str) -> None:
        console.progress(stage, done, total, note, expected_s=_EXPECTED_S.get(stage))

    result = explore.explore(
        explore.ExploreSettings(
            budget=budget,
            out=Path(wanted.out),
            device=devices.get(wanted.device) if wanted.device else None,
            dataset=wanted.dataset,
            data_dir=Path(wanted.data_dir) if wanted.data_dir else None,
            space=wanted.space,
            optimiser=wanted.optimiser,
            area_confidence=wanted.area_confidence,
            area_model=Path(wanted.area_model) if wanted.area_model else None,
            seed=wanted.seed,
            networks=wanted.networks,
            epochs=wanted.epochs,
            boo=wanted.boo,
            boo_within=None if wanted.boo_within is None else wanted.boo_within / 100,
            images=wanted.images,
            time_limit_s=60 * wanted.time_limit if wanted.time_limit else None,
            jobs=wanted.jobs,
            resume=wanted.resume,
        ),
        progress,
        console.warn,
    )
    show(result, Path(wanted.out), console)
    console.result(result.summary)
    return result.status


def show(result: ExploreResult, out: Path, console: Console) -> None:
    """Print the Pareto front, the chosen design, and its estimates beside measurements."""
    console.say(_front(result.candidates))
    console.say()
    if result.finished.build:
        accuracy = result.finished.accuracy
        console.say(f"chosen design: {result.finished.build / 'design.yaml'}")
        console.say(f"build folder:  {result.finished.build}")
        console.say(
            f"accuracy:      {100 * accuracy['validation']:.2f} % validation, "
            f"{100 * accuracy['test']:.2f} % test"
        )
    weights = result.finished.weights
    if weights:
        console.say(
            f"weights:       {weights.weights:,} with {weights.ones:,} one-bits "
            f"({weights.ones_per_weight:.2f} each)"
        )
    simulated, mapped = result.finished.verification, result.finished.synthesised
    if simulated:
        exact = "bit-exact" if simulated.bit_exact else "NOT bit-exact"
        console.say(f"simulation:    {simulated.images} images, {exact}")
    estimate = result.finished.estimate
    if estimate and mapped and mapped.figures.luts:
        macs = estimate.plan.schedule.config.macs
        console.say(
            f"array:         {macs} products/cycle, {100 * estimate.plan.utilisation:.1f} % useful "
            f"over a whole image, {mapped.figures.luts / macs:.1f} LUTs each"
        )
    console.say()
    rows = comparison.rows(
        estimate.figures if estimate else None,
        simulated.figures if simulated else None,
        mapped.figures if mapped else None,
        estimate.intervals if estimate else {},
    )
    console.say(table(comparison.HEAD, rows))
    for note in estimate.notes if estimate else ():
        console.say(f"note: {note}")
    console.say()
    page = result.summary["report"]
    report = f", report: {out / page}" if page else ""
    console.say(f"summary: {out / 'summary.json'}{report}")
    if result.problem:
        console.warn(result.problem)


def _front(candidates: Sequence[Candidate]) -> str:
    """Format the Pareto front as a table, best accuracy first, with the chosen design marked."""
    front = sorted(
        (one for one in candidates if one.on_front or one.chosen), key=lambda one: -one.accuracy
    )
    rows = [
        (
            one.label,
            f"{100 * one.accuracy:.2f} %",
            f"{one.images_per_second:,.0f}",
            f"{one.luts:,.0f}",
            *((f"{one.one_bits:,}",) if one.one_bits is not None else ()),
            "<- chosen" if one.chosen else "",
        )
        for one in front
    ]
    priced = any(one.one_bits is not None for one in front)
    head = ("Pareto front (estimates)", "validation", "images/s", "LUTs")
    return table((*head, *(("one-bits",) if priced else ()), ""), rows)
