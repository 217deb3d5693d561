"""Simulation of a build folder: ``python sim/run.py`` inside it, or ``simulate()`` from Python.

Needs numpy, cocotb, cocotbext-axi, Verilator, g++, make, perl and Python's shared library, and
nothing else. Prints expected and simulated cycles per instruction, and whether all outputs are
bit-exact.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a script: let ``sim`` be this file's folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from sim import simulator
from sim.files import reading, temporary
from sim.folder import PORTS, BuildFolder, FolderError, read
from sim.judge import table
from sim.options import VARIABLE, Options
from sim.process import kill_all, within
from sim.simulator import SimulationError
from sim.tools import plain, provenance, verilator
from sim.tools.verilator import ToolMissing

INFERENCE = "inference"
"""Name of the test in sim/bench.py that compares inference with the vectors."""
HARDWARE_TESTS = (
    "hundred_runs",
    "illegal_opcode",
    "illegal_field",
    "address_outside",
    "program_without_end",
    "early_tlast",
    "late_tlast",
    "soft_reset",
    "hard_reset",
    "start_while_busy",
    "watchdog",
    "stray_accesses",
)
"""Names of the tests of long use (sim/bench.py) and misuse (sim/misuse.py)."""
TIMEOUT_S = 3600.0
"""Default time limit on compiling the simulator and running it, in seconds."""


@dataclass(frozen=True)
class Request:
    """Settings of a simulation. Raises FolderError for wrong images, stalls, tests or time.

    >>> Request(images=2, stalls=0.0).tests
    ('inference',)
    """

    images: int = 8
    """Most images of vectors/ that INFERENCE runs, from the first on, >= 1."""
    seed: int = 0
    """Seed of all random choices."""
    stalls: float = 0.2
    """Fraction of cycles in which each bus channel is held back, 0..0.9; rare long pauses are added
    unless it is 0."""
    traced: bool = True
    """True: compare every layer's output. False: compare logits only, which is faster."""
    tests: tuple[str, ...] = (INFERENCE,)
    """Tests to run: INFERENCE and any of HARDWARE_TESTS."""
    jobs: int = 1
    """Most simulator processes in parallel, which share images and tests; below 1 counts as 1."""
    timeout_s: float = TIMEOUT_S
    """Time limit in seconds on compiling the simulator and on all its processes, together."""
    trust: bool = False
    """True: also compile Verilog that is not plain (sim.tools.plain), which may run commands."""

    def __post_init__(self) -> None:
        if self.images < 1:
            raise FolderError(f"images must be at least 1, not {self.images}")
        if not 0 <= self.stalls <= 0.9:
            raise FolderError(f"stalls must be 0 .. 0.9, not {self.stalls}")
        if not 0 < self.timeout_s < math.inf:
            raise FolderError(f"the time limit must be a time above 0 s, not {self.timeout_s}")
        unknown = set(self.tests) - {INFERENCE, *HARDWARE_TESTS}
        if unknown:
            known = ", ".join((INFERENCE, *HARDWARE_TESTS))
            raise FolderError(f"no test {', '.join(sorted(unknown))}; there are {known}")


def simulate(
    build: Path, request: Request, tell: Callable[[str], object] = lambda line: None
) -> dict[str, Any]:
    """Simulate the build folder and return the verdict, in JSON types.

    tell: called with a line that says what is compiled, before it is.

    ``passed`` is True if no test failed. ``inference`` is ``Judge.outcome`` and ``clocks``, with
    images, stall cycles and clocks summed over all processes, the rest of the first one that
    failed, or of the first; None if not asked for. ``hardware`` maps each other test to None or
    what went wrong. ``simulator`` has ``name`` (with version), ``build_seconds``, ``run_seconds``,
    and ``clocks_per_second``, the clocks of all processes per run second.

    Raises FolderError for a broken build folder or Verilog that is not plain, ToolMissing,
    SimulationError if a tool failed to build or run the simulator, a process ended before all its
    tests, the time is over, or the NPU hung outside of the runs that INFERENCE judges; OSError.
    """
    folder = read(build)
    verilog = folder.verilog()
    tell(provenance.described(build, verilog, "Verilator, make and g++"))
    refused = None if request.trust else plain.refusal(verilog)
    if refused:
        raise FolderError(refused)
    with within(request.timeout_s, "simulation", SimulationError) as left:
        return _simulate(folder, verilog, request, left)


def _simulate(
    folder: BuildFolder, verilog: dict[str, str], request: Request, left: Callable[[], float]
) -> dict[str, Any]:
    """Do what ``simulate`` does; ``left`` returns the seconds that are left."""
    images = min(request.images, len(folder.inputs))
    start = time.monotonic()
    program = simulator.build(verilog, folder.top, PORTS, timeout_s=left())
    built = time.monotonic()
    shares = _shares(request, images)
    with ThreadPoolExecutor(max(1, request.jobs)) as pool:
        try:
            one = functools.partial(_one_process, folder, program, request, left)
            lines = list(pool.map(lambda share: one(*share), shares))
        except BaseException:  # such as an interrupt: the other processes must not go on
            kill_all()
            raise
    seconds = time.monotonic() - built
    outcomes = [outcome for process in lines for outcome in process]
    inference = _merge([one for one in outcomes if one["test"] == INFERENCE])
    hardware = {one["test"]: one["failure"] for one in outcomes if one["test"] != INFERENCE}
    return {
        "passed": all(one["failure"] is None for one in outcomes),
        "inference": inference,
        "hardware": hardware,
        "simulator": {
            "name": f"Verilator {verilator.find().version}",
            "build_seconds": round(built - start, 2),
            "run_seconds": round(seconds, 2),
            "clocks_per_second": round(sum(process[-1]["clocks"] for process in lines) / seconds),
        },
    }


def _shares(request: Request, images: int) -> list[tuple[tuple[str, ...], int, int]]:
    """Return (names of tests, first image, number of images) of each simulator process.

    INFERENCE over ``images`` images is cut into up to ``jobs`` ranges; the other tests are dealt
    out to up to ``jobs`` further processes, which get 0 and 1 for the images.
    """
    shares: list[tuple[tuple[str, ...], int, int]] = []
    if INFERENCE in request.tests:
        jobs = min(max(1, request.jobs), images)
        bounds = [images * job // jobs for job in range(jobs + 1)]
        shares = [((INFERENCE,), low, high - low) for low, high in itertools.pairwise(bounds)]
    misuse = [test for test in request.tests if test != INFERENCE]
    jobs = min(max(1, request.jobs), len(misuse))
    return shares + [(tuple(misuse[job::jobs]), 0, 1) for job in range(jobs)]


def _one_process(
    folder: BuildFolder,
    program: Path,
    request: Request,
    left: Callable[[], float],
    tests: tuple[str, ...],
    first: int,
    images: int,
) -> list[dict[str, Any]]:
    """Run one simulator process and return one outcome (``harness.bench_test``) per test.

    tests: names; first, images: range of images for INFERENCE. A failed test is an outcome. Raises
    SimulationError if the process failed, or ended before all tests.
    """
    with temporary.folder("bench") as work:
        result = work / "result.jsonl"
        Options(
            build=str(folder.path.resolve()),
            result=str(result),
            first=first,
            images=images,
            seed=request.seed,
            stalls=request.stalls,
            traced=request.traced,
        ).save(work / "options.json")
        log = simulator.run(
            program,
            folder.top,
            "sim.bench,sim.misuse",
            [Path(__file__).resolve().parent.parent],
            {
                VARIABLE: str(work / "options.json"),
                "COCOTB_TEST_FILTER": rf"\.({'|'.join(tests)})$",
            },
            seed=request.seed,
            timeout_s=left(),
        )
        text = result.read_text() if result.exists() else ""
        outcomes = [json.loads(line) for line in text.splitlines()]
        missing = set(tests) - {outcome["test"] for outcome in outcomes}
        if missing:
            tail = "\n".join(log.splitlines()[-30:])
            raise SimulationError(f"{', '.join(missing)} did not finish; the log ends:\n{tail}")
        return outcomes


def _merge(parts: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Merge the outcomes of INFERENCE over ranges of images; None if there are no ``parts``.

    images, stall_cycles and clocks are sums over all parts; everything else, but for ``test``, is
    that of the first failed part, or of the first part if none failed. The parts are not changed.
    Raises SimulationError if one has no verdict, as its NPU hung before (or behind) all images.
    """
    if not parts:
        return None
    failed = [part for part in parts if part["failure"]]
    for part in failed:
        if "bit_exact" not in part:
            raise SimulationError(f"{INFERENCE}: {part['failure']}")
    merged = {name: value for name, value in (failed or parts)[0].items() if name != "test"}
    for name in ("images", "stall_cycles", "clocks"):
        merged[name] = sum(part[name] for part in parts)
    return merged


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; the result goes to stdout, errors to stderr.

    arguments: without the program's name; None for those of this process. Unknown ones, and --help,
    raise SystemExit.
    0: all tests passed; 1: a mismatch, a failed test or a failed simulator; 2: bad input, a missing
    tool or an error of the file system; 130: interrupted.
    """
    parser = argparse.ArgumentParser(description="Simulate this NPU against its test vectors.")
    parser.add_argument("build", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stalls", type=float, default=0.2, help="share of stalled cycles, 0..0.9")
    parser.add_argument("--logits", action="store_true", help="compare the logits alone: faster")
    parser.add_argument("--hardware", action="store_true", help="also the misuse tests")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS",
        help="time limit on compiling the simulator and running it (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("--trust", action="store_true", help="also Verilog that is not plain")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        request = Request(
            images=chosen.images,
            seed=chosen.seed,
            stalls=chosen.stalls,
            traced=not chosen.logits,
            tests=(INFERENCE, *(HARDWARE_TESTS if chosen.hardware else ())),
            jobs=chosen.jobs,
            timeout_s=chosen.timeout,
            trust=chosen.trust,
        )
        result = simulate(chosen.build, request, _tell)
    except (FolderError, ToolMissing, reading.FileError, OSError) as error:
        _tell(reading.escaped(str(error)))
        return 2
    except SimulationError as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    shown = json.dumps(result, indent=2) if chosen.json else table(result)
    sys.stdout.write(f"{reading.escaped(shown, keep=chr(10))}\n")
    return 0 if result["passed"] else 1


def _tell(text: str) -> None:
    """Write lines to stderr; a terminal obeys none of what they hold."""
    sys.stderr.write(f"{reading.escaped(text, keep=chr(10))}\n")


if __name__ == "__main__":
    sys.exit(main())
