"""Entry point of the command line: runs a verb and returns its exit status.

0: success. 1: verification mismatch, budget missed after synthesis or simulation, or a tool or
worker process failed. 2: bad input, missing tool, full disk (also for what is written after a good
answer) or closed stdout. 3: no feasible design. 130: interrupted by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from importlib import metadata
from types import FrameType, ModuleType
from typing import NoReturn

from codesign.cli import options
from codesign.cli.console import Console
from codesign.cli.options import BAD_INPUT
from codesign.cli.verbs import (
    bench,
    build,
    compare,
    doctor,
    estimate,
    evaluate,
    explore,
    export,
    import_,
    predict,
    report,
    synth,
    train,
    verify,
    worker,
)
from codesign.cli.verbs.area import calibrate, characterize
from codesign.results import InfeasibleError, UserError
from codesign.tools.processes import ToolError
from models.errors import DatasetError, ModelError
from models.files.reading import FileError
from rtl_gen.parameters import ConfigError
from sim.simulator import SimulationError

VERBS: tuple[ModuleType, ...] = (
    explore, import_, build, verify, evaluate, predict, export, synth, estimate, train, report,
    compare, characterize, calibrate, worker, bench, doctor,
)  # fmt: skip
"""Modules of the verbs, in the order of ``codesign --help``; see codesign.cli.verbs."""

FAILED, INFEASIBLE, INTERRUPTED = 1, 3, 130
USER_ERRORS = (UserError, ConfigError, ModelError, FileError, DatasetError)
_SECRET = re.compile(
    r"(?P<scheme>[a-z0-9+]+://)(?!([^:@/?]+@)?[^:@/?]*(:\d+)?(/[^:@?]*)?$).*", re.DOTALL
)
"""The URL of a database, unless it is plain to see that it holds neither password nor options."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the usage and raise UserError: bad options are reported like all bad input."""
        self.print_usage(sys.stderr)
        raise UserError(message)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; parsing raises UserError for bad options."""
    top = _Parser(
        prog="codesign",
        description="Find a quantised neural network and the NPU (neural processing unit) that "
        "runs it within an FPGA resource budget, generate the NPU in Verilog, and verify it bit "
        "for bit against the network in simulation.",
        epilog="exit status: 0 success; 1 simulation differs, budget missed after synthesis "
        "or simulation, or a tool failed; 2 bad input or a missing tool; 3 no feasible design; 130 "
        "interrupted. "
        "`codesign VERB --help` describes a verb.",
    )
    top.add_argument(
        "--version", action="version", version=f"codesign {metadata.version('codesign')}"
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for module in VERBS:
        verb = verbs.add_parser(
            module.NAME,
            help=module.HELP,
            description=module.DESCRIPTION,
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_argument(
            "--json", action="store_true", help="print the result on stdout as one JSON value"
        )
        module.arguments(verb)
        verb.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``codesign`` with ``argv`` (default: the process's arguments); return its exit status.

    Call it in the main thread, as SIGTERM acts like Ctrl-C meanwhile. ``--help`` and ``--version``
    raise SystemExit; a bug's exception is not caught.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parser().parse_args(arguments)
    except UserError as error:
        return _bad_input(str(error), Console(as_json="--json" in arguments))
    console = Console(as_json=args.json)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with options.memory_allowed(getattr(args, "max_memory", None)), _interrupts_first():
            return int(args.run(args, console))
    except InfeasibleError as error:
        return _infeasible(error, console)
    except USER_ERRORS as error:
        return _bad_input(str(error), console)
    except (ToolError, SimulationError) as error:
        console.result({"error": str(error)})
        console.warn(f"error: {error}")
        return FAILED
    except (BrokenExecutor, MemoryError) as error:
        ended = "a worker process was killed, possibly because memory ran out"
        message = ended if isinstance(error, BrokenExecutor) else "memory ran out"
        console.result({"error": message})
        console.warn(f"error: {message}; {_resume_hint(arguments)}")
        return FAILED
    except OSError as error:
        return _system(error, console)
    except KeyboardInterrupt:
        console.warn(f"interrupted; {_resume_hint(arguments)}")
        return INTERRUPTED
    finally:
        console.clear()
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _interrupts_first() -> Iterator[None]:
    """Raise the KeyboardInterrupt that an error came out of instead of the error.

    A library's cleanup may fail where an interrupt cuts it short, as that of Optuna's journal.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while cause.__context__ is not None:
            cause = cause.__context__
            if isinstance(cause, KeyboardInterrupt):
                raise cause from None
        raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM like Ctrl-C, so that temporary files are removed."""
    raise KeyboardInterrupt


def _bad_input(message: str, console: Console) -> int:
    console.result({"error": message})
    console.warn(f"error: {message}")
    return BAD_INPUT


def _infeasible(error: InfeasibleError, console: Console) -> int:
    console.result({"feasible": False, "reasons": error.to_list(), **error.details})
    console.warn("no feasible design:")
    for line in (*error.reasons, *error.remarks):
        console.warn(f"  {line}")
    return INFEASIBLE


def _system(error: OSError, console: Console) -> int:
    """Report an operating-system error as bad input; re-raise one that names no file, a bug.

    A full disk is reported in any case; a closed pipe at stdout ends the command silently. Returns
    the exit status 2.
    """
    if isinstance(error, BrokenPipeError):
        # The reader of the output has ended (`codesign ... | head`), so nothing more is printed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BAD_INPUT
    where = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message = f"no space left on the disk{' for' + where if where else ''}; "
        return _bad_input(
            f"{message}no half-written file remains. Free some space and run again", console
        )
    if error.filename is None:
        raise error
    return _bad_input(f"{error.filename}: {error.strerror}", console)


def _resume_hint(arguments: list[str]) -> str:
    """Return a hint with the command that continues the interrupted one, ``resume with: ...``.

    The address of a database that may hold a secret is left out of it.
    """
    if arguments[:1] == [explore.NAME] and "--resume" not in arguments:
        arguments = [*arguments, "--resume"]
    shown = [_SECRET.sub(r"\g<scheme>...", argument) for argument in arguments]
    return f"resume with: codesign {shlex.join(shown)}"
