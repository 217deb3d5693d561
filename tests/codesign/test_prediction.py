"""Estimates of a design come with warnings: clocks that will not hold, NPUs outside the data."""

from __future__ import annotations

import dataclasses

from benchmarks.untrained import random_weights
from codesign import design as designs
from codesign.compiler import compile_network, plan
from codesign.prediction import estimate_design
from models.integer.lower import shape_only
from tests import paths

EXAMPLE = designs.load(paths.EXAMPLE)


def test_the_clock_of_an_ecp5_is_estimated_and_compared_with_the_wanted_one() -> None:
    fast = dataclasses.replace(EXAMPLE, clock_mhz=400.0)
    found = estimate_design(EXAMPLE, "ecp5")
    low, high = found.intervals["fmax_mhz"]
    assert found.figures.fmax_mhz is not None
    assert 60 < low < found.figures.fmax_mhz < high < 200
    other = estimate_design(fast)  # nothing is known of a 7-series part
    assert (other.figures.fmax_mhz, other.notes) == (None, ())
    (note,) = estimate_design(fast, "ecp5").notes
    assert note.startswith("400 MHz will hardly hold on the slowest ECP5")
    assert f"{low:.0f} to {high:.0f} MHz" in note
    between = dataclasses.replace(EXAMPLE, clock_mhz=(low + high) / 2)
    assert " MHz may not hold " in estimate_design(between, "ecp5").notes[0]
    slow = dataclasses.replace(EXAMPLE, clock_mhz=20.0)
    assert estimate_design(slow, "ecp5").notes == ()
    assert estimate_design(slow, "ecp5").to_dict()["notes"] == []


def test_known_weights_give_the_cycles_of_the_compiled_program() -> None:
    shapes = shape_only(EXAMPLE.network, EXAMPLE.quantisation, EXAMPLE.npu.scale_bits)
    network = random_weights(shapes, EXAMPLE.npu.scale_bits, seed=1)
    network.mac_layers[1].sources[0].weights[:, :, 0] = 0
    network.mac_layers[1].sources[0].weights[:, :, :, 2] = 0
    compiled = compile_network(network, EXAMPLE.npu)
    before, after = estimate_design(EXAMPLE), estimate_design(EXAMPLE, compiled=compiled.plan)
    assert after.figures.cycles_per_image == compiled.program.cycles
    assert before.figures.cycles_per_image == plan(shapes, EXAMPLE.npu).cycles
    assert compiled.program.cycles < plan(shapes, EXAMPLE.npu).cycles
    assert plan(network, EXAMPLE.npu).cycles == compiled.program.cycles


def test_npus_outside_the_data_are_noted() -> None:
    tiles = dataclasses.replace(EXAMPLE.npu, memory_port_bits=64, memory_tiles=True)
    found = estimate_design(dataclasses.replace(EXAMPLE, npu=tiles, clock_mhz=20.0), "ecp5")
    area, timing = found.notes
    assert area.startswith("the synthesis data has no NPU like this: memory_tiles 1 (has 0)")
    assert timing.startswith("no NPU like this was placed: ")
    assert "memory_tiles 1 (has 0)" in timing
    assert found.to_dict()["notes"] == [area, timing]
