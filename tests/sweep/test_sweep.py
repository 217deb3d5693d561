"""Eleven cases of the sweep pass, and faults in hardware or compiler are found and made small.

The seeds cover every kind of layer, digit width, multiplier and sparsity between them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from rtl_gen import timing
from rtl_gen.isa.opcodes import Opcode
from tests.sweep import simulate
from tests.sweep.__main__ import main
from tests.sweep.cases import Case, draw, knobs
from tests.sweep.simulate import run_seed

SEEDS = (165, 392, 330, 367, 348, 14, 335, 153, 223, 178, 133)
"""Seeds of quick cases that cover REQUIRED between them."""
REQUIRED = {
    "weight_digit_bits": {"1", "2", "4", "8"},
    "multiplier": {"lut", "dsp", "dsp2", "dsp4"},
    "sparsity": {"dense", "1:4", "2:4", "4:8"},
    "weights": {"dense", "1:4", "2:4", "4:8"},
    "layer": {
        "conv2d", "depthwise conv2d", "grouped conv2d", "linear", "max_pool", "avg_pool",
        "global average pool", "global max pool", "add", "concat", "relu", "requantise",
    },
    "weight bits": {"1", "8"},
    "activation bits": {"1", "8"},
    "signed activations": {"yes", "no"},
    "padding": {"yes", "no", "uneven"},
    "zero point": {"usual", "other"},
    "dilation": {"yes", "no"},
    "pixel lanes": {"all", "one"},
    "depthwise_taps": {"1", "3"},
    "column reuse": {"yes", "no"},
    "binary_weights": {"yes", "no"},
    "binary layers": {"yes", "no"},
    "look-up": {"yes", "no"},
    "requantisation": {"multiply", "thresholds"},
}  # fmt: skip
cached_draw: Callable[[int], Case] = functools.cache(draw)


@pytest.mark.parametrize("seed", SEEDS)
def test_case_is_bit_and_cycle_exact(seed: int) -> None:
    line = run_seed(seed)
    assert line["failure"] is None
    case = cached_draw(seed)
    opcodes = [step.instruction.opcode for step in case.compiled.traced.steps]
    steps, results = len(opcodes), opcodes.count(Opcode.STORE) + opcodes.count(Opcode.EMIT)
    images = len(case.images)
    assert results >= len(case.network.mac_layers)
    assert line["layers_compared"] == 1 + images * results
    assert line["instructions_compared"] == images * steps + len(case.compiled.program.steps)


def test_the_seeds_cover_what_is_required() -> None:
    cases = [cached_draw(seed) for seed in SEEDS]
    for kind, values in REQUIRED.items():
        assert {value for case in cases for value in knobs(case)[kind]} >= values, kind
    assert any(case.config.lanes % 2 for case in cases)
    assert any(case.config.pixels > 1 and "all" in knobs(case)["pixel lanes"] for case in cases)
    assert any(knobs(case)["fused max pool"] for case in cases)
    assert any(case.stalls == 0 for case in cases)
    phases = {step.values.get("phases") for case in cases for step in case.compiled.program.steps}
    assert phases >= {0, 1, 3}
    assert any(case.compiled.memory.size for case in cases)
    assert any(case.compiled.plan.schedule.moves for case in cases)
    assert any(case.compiled.stream for case in cases)


@pytest.mark.parametrize(
    ("seed", "unit", "added"),
    [(348, "_post_unit.v", b"bias"), (165, "_threshold_unit.v", b"offset_level0")],
)
def test_a_fault_in_the_verilog_is_found_and_made_small(
    seed: int, unit: str, added: bytes,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The broken post unit subtracts the bias, or the negated threshold."""
    right = simulate.simulated_files
    sums = b"$signed(accumulator) + $signed(%b)" % added

    def wrong(*arguments: object) -> dict[str, bytes]:
        files = right(*arguments)
        (path,) = (path for path in files if path.endswith(unit))
        assert sums in files[path]
        files[path] = files[path].replace(sums, sums.replace(b"+", b"-"))
        return files

    monkeypatch.setattr(simulate, "simulated_files", wrong)
    assert main(["--only", str(seed)]) == 1
    text = capsys.readouterr().out
    assert "1 cases, 1 failed" in text
    assert f"python -m tests.sweep --only {seed}" in text
    first, smaller = text.split("smaller, on the same NPU:")
    assert "must be" in first
    case = cached_draw(seed)
    assert len([line for line in smaller.splitlines() if " = " in line]) <= 2
    assert len(case.network.layers) > 2


def test_a_wrong_cycle_count_of_the_compiler_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = timing.flush_cycles
    monkeypatch.setattr(timing, "flush_cycles", lambda config: right(config) + 1)
    line = run_seed(SEEDS[0])
    assert "traced program" in line["failure"]
    assert "expected" in line["failure"]
    assert "took" in line["smaller"]["failure"]


def test_bad_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "0"]) == 2
    assert "--count must be 1 or more, not 0" in capsys.readouterr().err
    other = tmp_path / "notes.txt"
    other.write_text("shopping\n")
    assert main(["--out", str(other)]) == 2
    assert "notes.txt:1 is no line of a sweep" in capsys.readouterr().err
