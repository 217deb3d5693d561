"""Simulate random networks on random NPUs and compare them with the integer reference.

python -m tests.sweep --count 300 --jobs 2 --seed 0
python -m tests.sweep --only 17

Every layer's result must be equal bit by bit, every instruction's cycle count as compiled. Cases
that the file of --out holds already are not run again unless the sources have changed, so a killed
sweep goes on. Exit status: 0 all cases passed, 1 one failed, 2 bad input or a missing tool, 130
interrupted.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path

from codesign.cli.console import Console
from codesign.results import UserError
from sim.tools import verilator
from sim.tools.verilator import ToolMissing
from tests.sweep.record import Line, Record, sources_hash
from tests.sweep.simulate import run_seed
from tests.sweep.summary import summarise, text

OUT = Path("build/sweep.jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=300, help="number of cases")
    parser.add_argument("--jobs", type=int, default=1, help="cases simulated at the same time")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first case; the next have the following seeds"
    )
    parser.add_argument(
        "--only", type=int, metavar="SEED", help="run this case only, and do not record it"
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"the record (default {OUT})")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    options = parser.parse_args(arguments)
    console = Console(as_json=options.json)
    try:
        lines = _lines(options, console)
    except (UserError, ToolMissing, OSError) as error:
        console.warn(str(error))
        return 2
    except KeyboardInterrupt:
        console.clear()
        return 130
    summary = summarise(lines)
    console.say(text(summary))
    console.result(summary)
    return 1 if summary["failed"] else 0


def _lines(options: argparse.Namespace, console: Console) -> list[Line]:
    """Return the results of all cases asked for, run now or read from the record.

    Raises UserError, ToolMissing, OSError.
    """
    for name, least in (("count", 1), ("jobs", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise UserError(f"--{name} must be {least} or more, not {getattr(options, name)}")
    verilator.find()
    if options.only is not None:
        return [run_seed(options.only)]
    record = Record(options.out, sources_hash())
    wanted = range(options.seed, options.seed + options.count)
    known = {line["seed"] for line in record.read()}
    missing = [seed for seed in wanted if seed not in known]
    done = options.count - len(missing)
    for line in _run(missing, options.jobs, console, done):
        record.append(line)
        if line["failure"]:
            console.say(f"seed {line['seed']}: {line['failure']}")
    console.clear()
    return [line for line in record.read() if line["seed"] in wanted]


def _run(seeds: Sequence[int], jobs: int, console: Console, done: int) -> Iterator[Line]:
    """Yield the result of each case as it finishes; an exception in a case is its failure.

    Raises UserError when a worker was killed, ToolMissing, OSError.
    """
    total = done + len(seeds)
    console.progress("sweep", done, total)
    # Spawned workers: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context)
    try:
        futures = {pool.submit(run_seed, seed): seed for seed in seeds}
        for future in concurrent.futures.as_completed(futures):
            seed, error = futures[future], future.exception()
            if isinstance(error, ToolMissing | OSError):
                raise error
            if isinstance(error, BrokenExecutor):
                raise UserError(
                    "a worker process was killed (out of memory?); fewer --jobs take less, and the "
                    "same command goes on"
                )
            failure = f"{type(error).__name__}: {error}"
            yield future.result() if error is None else {"seed": seed, "failure": failure}
            done += 1
            console.progress("sweep", done, total, f"seed {seed}")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
