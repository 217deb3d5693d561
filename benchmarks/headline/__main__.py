"""The front on CIFAR-10: recompute its designs, put one in, draw the picture.

``python -m benchmarks.headline verify DATA [--design NAME] [--clock | --no-clock]``
``python -m benchmarks.headline add FOLDER --name NAME --data DATA --command TEXT ...``
``python -m benchmarks.headline picture``

DATA is a zip or folder of CIFAR-10 (docs/data.md). ``verify`` prints the objects of
examples/cifar10/index.json with the figures as recomputed from design files and trained integers:
the Verilog is built and synthesised anew, test images are simulated, all of them are evaluated.
The clock takes longer than all else: without --clock only that of a design named by --design is
recomputed; ``fmax_mhz`` is null where it was not, and not compared.
Exit status: 0 success, 1 a figure differs or a tool failed, 2 bad input or a missing tool.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.headline import adding, index, measuring, picture, published
from benchmarks.headline import verify as verifying
from codesign.build import verification
from codesign.cli.main import USER_ERRORS
from codesign.fpga import yosys
from codesign.results import InfeasibleError
from codesign.tools.processes import ToolError
from models.files.reading import escaped
from models.files.writing import atomic_file
from sim.simulator import SimulationError

ROOT = Path(__file__).parents[2]
PICTURE = Path("docs", "measurements", "cifar10.svg")


def _verify(args: argparse.Namespace) -> int:
    verification.check_tools()
    yosys.find()
    entries = verifying.chosen(args.root, args.design)
    clock = (args.design is not None if args.clock is None else args.clock) and _can_place()
    same = True
    with verifying.fresh_caches():
        for one in verifying.verify(args.root, entries, args.data, clock=clock, tell=_tell):
            print(json.dumps(one.found), flush=True)
            for line in one.notes:
                _tell(line)
            for line in one.differences:
                _tell(f"DIFFERENT: {line}")
            same = same and not one.differences
    return 0 if same else 1


def _can_place() -> bool:
    found = measuring.can_place()
    if not found:
        _tell("no nextpnr-ecp5: fmax_mhz is not recomputed")
    return found


def _add(args: argparse.Namespace) -> int:
    source = adding.Source(
        args.folder, args.name, tuple(args.command or ()), args.log, args.earlier, args.replace
    )
    clock = args.clock is not False and _can_place()
    entry = adding.add(args.root, source, args.data, clock=clock)
    print(json.dumps(index.to_dict(entry)))
    return 0


def _picture(args: argparse.Namespace) -> int:
    drawn = picture.draw(index.read(args.root), published.read())
    with atomic_file(args.root / PICTURE) as file:
        file.write(drawn.encode())
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m benchmarks.headline", description=__doc__.splitlines()[0]
    )
    top.add_argument("--root", type=Path, default=ROOT, help="checkout (default: this one)")
    verbs = top.add_subparsers(dest="verb", required=True)
    verify = verbs.add_parser("verify", help="recompute the figures of the index and compare")
    verify.add_argument("data", type=Path, metavar="DATA", help="zip or folder of CIFAR-10")
    verify.add_argument("--design", metavar="NAME", help="this one alone (default: all)")
    verify.set_defaults(run=_verify)
    add = verbs.add_parser("add", help="put a trained design in, with its measured figures")
    add.add_argument("folder", type=Path, help="build folder, or folder of an exploration")
    add.add_argument("--name", required=True, help="name of the design")
    add.add_argument("--data", type=Path, required=True, help="zip or folder of CIFAR-10")
    add.add_argument("--command", action="append", help="command that made it; repeat in order")
    add.add_argument("--log", type=Path, help="training log (default: the build's curves)")
    add.add_argument(
        "--earlier", type=int, default=0, metavar="N",
        help="networks given up for this one after their test accuracy was seen (default: 0)",
    )  # fmt: skip
    add.add_argument("--replace", action="store_true", help="replace the design of that name")
    add.set_defaults(run=_add)
    for one, default in ((verify, "with --design alone"), (add, "yes")):
        one.add_argument(
            "--clock", action=argparse.BooleanOptionalAction,
            help=f"also place and route with nextpnr-ecp5, for fmax_mhz (default: {default})",
        )  # fmt: skip
    draw = verbs.add_parser("picture", help=f"draw {PICTURE} anew")
    draw.set_defaults(run=_picture)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return int(args.run(args))
    except (*USER_ERRORS, InfeasibleError) as error:
        _tell(f"error: {error}")
        return 2
    except (ToolError, SimulationError) as error:
        _tell(f"failed: {error}")
        return 1
    except OSError as error:
        _tell(f"error: {error.filename or ''}: {error.strerror or error}")
        return 2


def _tell(line: str) -> None:
    print(escaped(line, keep="\n"), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
