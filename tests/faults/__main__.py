"""``python -m tests.faults [--count N] [--seed N] [--only COMMAND ...]``; ``make faults``.

Each line of the output is one fault; the exit status is 1 if anything was wrong after one.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
from pathlib import Path

from tests.faults import runner
from tests.faults.injection import CACHE, FAULTS
from tests.faults.jobs import JOBS
from tests.faults.runner import Outcome


def draw(count: int, seed: int, jobs: list[str], faults: list[str]) -> list[tuple[str, str, float]]:
    """Return commands, faults and moments, as a share of the command's time without a fault.

    Every pair of a command and a fault comes before one comes again.
    """
    rng, drawn = random.Random(seed), []
    while len(drawn) < count:
        order = list(itertools.product(jobs, faults))
        rng.shuffle(order)
        drawn += [(*pair, rng.uniform(0.02, 0.98)) for pair in order]
    return drawn[:count]


def report(number: int, found: Outcome) -> str:
    """Return the line of one fault, and one for each thing that is wrong after it."""
    line = (
        f"{number:2} {found.job:12} {found.fault:13} after {found.at_s:5.1f} s: "
        f"status {found.status:3} in {found.seconds:4.1f} s, {found.finished} finished; "
        f"{found.said[:90]}"
    )
    return "\n".join([line, *(f"   WRONG: {text}" for text in found.wrong)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        base, seconds = Path(name), {}
        runner.clean(args.only[0], base / "warm", None)
        warm = base / "warm" / CACHE
        for job in args.only:
            seconds[job] = runner.clean(job, base / f"clean-{job}", warm)
            _say(f"{job}: {seconds[job]:.1f} s without a fault")
        drawn = draw(args.count, args.seed, args.only, args.faults)
        for number, (job, fault, share) in enumerate(drawn, start=1):
            found = runner.one(job, fault, share * seconds[job], base / f"fault-{number}", warm)
            _say(report(number, found))
            wrong += bool(found.wrong)
            runner.remove(base / f"fault-{number}")
    _say(f"{args.count} faults, {wrong} with something wrong")
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
