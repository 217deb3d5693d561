"""``codesign verify``: a right build folder passes in Verilator, and each kind of fault is found.

Wrong weights, expected values, cycle counts, Verilog and memory contents; misuse of the buses; the
bench of the folder by itself; interrupts and bad input.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from codesign.build import build_folder, verification
from codesign.results import UserError
from sim import run
from sim.tools import verilator
from tests.codesign import small_build


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("verify") / "small")


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return shutil.copytree(folder, tmp_path / "copy")


def test_every_layer_is_bit_and_cycle_exact_under_stalls(folder):
    _, compiled, _ = small_build.parts()
    found = verification.verify(folder, images=4, stalls=0.4, seed=7, clock_mhz=50)
    assert found.failure is None
    assert (found.passed, found.bit_exact, found.images) == (True, True, 4)
    assert found.cycles_simulated == found.cycles_expected == compiled.traced.cycles
    assert found.figures.cycles_per_image == compiled.program.cycles
    assert found.figures.images_per_second == pytest.approx(50e6 / compiled.plan.interval_cycles)
    assert [layer.simulated for layer in found.layers] == [layer.expected for layer in found.layers]
    assert {"conv1", "conv2", "logits"} <= {layer.name for layer in found.layers}
    assert found.changed_files == ()
    assert json.loads(json.dumps(found.to_dict()))["bit_exact"] is True


def test_images_are_split_over_processes(folder):
    found = verification.verify(folder, images=99, traced=False, stalls=0, jobs=2)
    assert (found.passed, found.images) == (True, small_build.IMAGES)


def test_fetched_weights_are_bit_and_cycle_exact_waits_included(tmp_path):
    """All buses stall while layers are compared; without stalls, waits are as predicted.

    A wrong or a missing word of the external memory is found.
    """
    _, compiled, _ = small_build.parts(memory_port_bits=64)
    built = small_build.write(tmp_path / "fetched", memory_port_bits=64)
    assert len(compiled.plan.schedule.parts) > len(compiled.plan.layers)
    found = verification.verify(built, images=3, stalls=0.4, seed=5)
    assert found.failure is None
    waits = compiled.plan.memory_wait_cycles
    assert waits > 0
    assert found.figures.cycles_per_image == compiled.program.cycles + waits
    assert found.figures.interval_cycles == compiled.plan.interval_cycles

    path = built / "mem" / "memory.bin"
    words = np.frombuffer(path.read_bytes(), "<u4").copy()
    second = next(p for p in compiled.plan.schedule.parts if p.layer == 1)
    words[second.first_burst * 64 :][:16] ^= 0xFFFF_FFFF
    path.write_bytes(words.tobytes())
    wrong = verification.verify(built, images=1)
    assert wrong.mismatch["layer"].startswith("conv2")
    path.write_bytes(words.tobytes()[:-4])
    with pytest.raises(UserError, match=r"memory\.bin holds .* words, program\.json says"):
        verification.verify(built, images=1)


def test_memory_that_refuses_a_read_is_an_address_error(tmp_path):
    built = small_build.write(tmp_path / "short", memory_port_bits=64)
    program = json.loads((built / "program.json").read_text())
    program["memory"]["words"] -= 64
    (built / "program.json").write_text(json.dumps(program))
    path = built / "mem" / "memory.bin"
    path.write_bytes(path.read_bytes()[: -64 * 4])
    found = verification.verify(built, images=1)
    assert "error ADDRESS at instruction" in found.failure


def test_bands_are_bit_and_cycle_exact_waits_included(tmp_path):
    """Feature maps go to external memory and come back, under stalls of all buses."""
    _, compiled, _ = small_build.parts(memory_port_bits=32, memory_tiles=True)
    built = small_build.write(tmp_path / "tiled", memory_port_bits=32, memory_tiles=True)
    assert {"FILL", "SPILL"} <= {step.instruction.opcode.name for step in compiled.program.steps}
    found = verification.verify(built, images=2, stalls=0.4, seed=5)
    assert found.failure is None
    waits = compiled.plan.memory_wait_cycles
    assert found.figures.cycles_per_image == compiled.program.cycles + waits

    program = json.loads((built / "program.json").read_text())
    program["memory"]["words"] -= 32
    (built / "program.json").write_text(json.dumps(program))
    path = built / "mem" / "memory.bin"
    path.write_bytes(path.read_bytes()[: -32 * 4])
    refused = verification.verify(built, images=1)
    assert "error ADDRESS at instruction" in refused.failure


def test_wrong_weights_are_found_in_their_layer(copy):
    path = copy / "mem" / "weights.hex"
    lines = path.read_text().splitlines()
    _, compiled, _ = small_build.parts()
    second = next(step for step in compiled.program.steps if step.name == "conv2")
    place = second.instruction.fields["weight_base"]
    for line in range(place, place + 4):
        lines[line] = f"{int(lines[line], 16) ^ 0xFFFF:08x}"
    path.write_text("\n".join(lines) + "\n")
    found = verification.verify(copy, images=2)
    assert not found.passed
    assert not found.bit_exact
    assert found.mismatch["layer"] == "conv2"
    assert found.mismatch["image"] == 0
    assert "layer conv2" in found.failure
    assert found.changed_files == ("mem/weights.hex",)


def test_a_wrong_expectation_is_told_with_place_and_values(copy):
    path = copy / "vectors" / "expected.npz"
    with np.load(path) as stored:
        arrays = {name: stored[name].copy() for name in stored.files}
    pool = arrays["pool1"]
    right = int(pool[1, 3, 2, 1])
    pool[1, 3, 2, 1] = right ^ 1
    np.savez(path, **arrays)
    found = verification.verify(copy, images=3)
    assert found.failure == (
        f"image 1, layer conv1: pool1[channel 3, row 2, column 1] must be {right ^ 1}, "
        f"got {right} (1 of {pool[0].size} values differ)"
    )


def test_a_wrong_cycle_count_is_found(copy):
    path = copy / "program.json"
    program = json.loads(path.read_text())
    entry = next(e for e in program["programs"]["traced"]["instructions"] if e["name"] == "conv2")
    entry["cycles"] += 1
    path.write_text(json.dumps(program))
    found = verification.verify(copy, images=1)
    assert found.bit_exact
    assert not found.passed
    right = entry["cycles"] - 1
    assert found.failure == (
        f"image 0, traced program: conv2 took {right} cycles, {right + 1} expected"
    )


def test_the_production_program_is_judged_instruction_by_instruction(copy):
    path = copy / "program.json"
    program = json.loads(path.read_text())
    first, second = (
        next(e for e in program["programs"]["normal"]["instructions"] if e["name"] == name)
        for name in ("conv1", "conv2")
    )
    first["cycles"] += 1
    second["cycles"] -= 1  # the run's sum stays right
    path.write_text(json.dumps(program))
    found = verification.verify(copy, images=1)
    assert found.bit_exact
    right = first["cycles"] - 1
    assert found.failure == (
        f"image 0, normal program: conv1 took {right} cycles, {right + 1} expected"
    )


def test_a_fault_in_the_verilog_is_found(copy):
    """The broken post unit subtracts the bias."""
    (path,) = (copy / "rtl").glob("*_post_unit.v")
    right = "$signed(accumulator) + $signed(bias)"
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, right.replace("+", "-")))
    found = verification.verify(copy, images=1)
    assert not found.bit_exact
    assert found.mismatch["layer"] == "conv1"


def test_a_bus_that_never_answers_is_a_failure_with_its_cause(copy, capsys):
    (path,) = (copy / "rtl").glob("*_control.v")
    broken, count = re.subn(r"\bbvalid <= .*;", "bvalid <= 1'h0;", path.read_text())
    assert count
    path.write_text(broken)
    assert run.main([str(copy), "--images", "1"]) == 1
    assert "inference: hang, no answer within" in capsys.readouterr().err


def test_clocks_of_a_process_are_counted_once(folder, monkeypatch):
    """Those of a test include the ones of earlier tests in the same process."""
    tests = ("hundred_runs", "watchdog", "soft_reset")
    clocks = dict(zip(tests, (1000, 400, 1600), strict=True))

    def one_process(folder, program, request, left, tests, *images):
        return [{"test": test, "failure": None, "clocks": clocks[test]} for test in tests]

    monkeypatch.setattr(run, "_one_process", one_process)
    monkeypatch.setattr(run.simulator, "build", lambda *_, timeout_s: Path())
    clock = SimpleNamespace(monotonic=iter((0.0, 1.0, 3.0)).__next__)
    monkeypatch.setattr(run, "time", clock)
    found = run.simulate(folder, run.Request(tests=tests, jobs=2))
    assert found["simulator"]["clocks_per_second"] == (1600 + 400) / 2


def test_no_misuse_hangs_the_hardware(folder):
    found = verification.verify(folder, images=1, hardware=True, jobs=2, stalls=0.1)
    assert len(found.hardware) == 12
    assert {name: text for name, text in found.hardware.items() if text} == {}
    assert found.passed


BARRIER = 'raise ImportError("the bench must run without this")\n'


def test_the_bench_in_the_folder_runs_by_itself(folder, tmp_path):
    for package in ("codesign", "models", "rtl_gen", "torch", "amaranth", "optuna", "yaml"):
        (tmp_path / f"{package}.py").write_text(BARRIER)
    ran = subprocess.run(
        [sys.executable, "sim/run.py", "--images", "2"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0
    assert re.fullmatch(r".* will compile the \d+ Verilog files .*, as .* lists them\n", ran.stderr)
    assert "2 images bit-exact" in ran.stdout
    assert "conv2" in ran.stdout


def test_the_bench_compares_every_layer_unless_told_otherwise(monkeypatch, folder):
    asked: list[run.Request] = []

    def simulate(build: Path, request: run.Request, tell: Callable[[str], object]) -> None:
        asked.append(request)
        raise run.SimulationError("enough")

    monkeypatch.setattr(run, "simulate", simulate)
    for arguments in ([], ["--logits"]):
        assert run.main([str(folder), *arguments]) == 1
    assert [request.traced for request in asked] == [True, False]


def test_an_interrupt_ends_every_simulator(folder, tmp_path):
    command = [sys.executable, "sim/run.py", "--hardware", "--jobs", "2", "--stalls", "0.9"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(command, cwd=folder, env=environment)
    for _ in range(600):
        if len(list(tmp_path.glob("codesign-sim-*"))) == 2:
            break
        time.sleep(0.1)
    time.sleep(1)
    bench.send_signal(signal.SIGINT)
    assert bench.wait(30) == 130
    assert list(tmp_path.glob("codesign-*")) == []


def test_bad_input_is_named(folder, copy, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"is not a build folder"):
        verification.verify(tmp_path)
    with pytest.raises(UserError, match=r"images must be at least 1, not 0"):
        verification.verify(folder, images=0)
    with pytest.raises(UserError, match=r"stalls must be 0 .. 0.9, not 1.5"):
        verification.verify(folder, stalls=1.5)
    (copy / "vectors" / "inputs.npz").write_bytes(b"PK half")
    with pytest.raises(UserError, match=r"inputs.npz"):
        verification.verify(copy)
    (copy / "mem" / "weights.hex").write_text("xyz\n")
    with pytest.raises(UserError, match=r"weights.hex"):
        verification.verify(copy)
    verilator.find.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"simulation needs g\+\+, make, perl.*apt-get install g"):
        verification.verify(folder)
    verilator.find.cache_clear()


def test_a_disk_that_fills_up_in_mid_simulation_is_no_mismatch(folder, monkeypatch):
    """The outcome cannot be written: cocotb by itself would end as after a failed test."""

    class Full(run.Options):
        def __init__(self, **options):
            super().__init__(**{**options, "result": "/dev/full"})

    monkeypatch.setattr(run, "Options", Full)
    with pytest.raises(UserError, match=r"cannot simulate .*: No space left on device"):
        verification.verify(folder, images=1)


def test_an_error_of_the_file_system_is_told(folder, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "simulate", full)
    vectors = build_folder.Vectors(run.read(folder).inputs, run.read(folder).expected)
    with pytest.raises(UserError, match=r"cannot simulate .*: No space left on device"):
        verification.verify_vectors(folder, vectors)
    monkeypatch.setattr(verification.temporary, "folder", full)
    with pytest.raises(UserError, match=r"cannot simulate .*: No space left on device"):
        verification.verify_vectors(folder, vectors)
