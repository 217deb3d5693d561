"""The rate at which images follow each other, streamed through the RTL, is the one estimated."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.simulated import CLOCK_MHZ, as_design, simulate
from codesign.compiler import minimal_depths, plan, worst_accumulator_bits
from codesign.compiler.program.stream import interval_cycles
from codesign.prediction import estimate_design
from models.graph.layers import Conv2d, Input, Linear
from models.graph.network import Layer, NetworkGraph
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig

CASES = {
    # name: (input shape, strides of the convolutions, classes, room for the next image, waits)
    "LOAD beside the layers": ((3, 8, 8), (1,), 10, True, False),
    "EMIT longer than the first layer": ((2, 3, 3), (1,), 150, True, True),
    "LOAD longer than the last layer": ((64, 4, 4), (4,), 2, True, True),
    "a single layer": ((8, 4, 4), (), 3, True, True),
    "one by one": ((4, 8, 8), (1, 1), 5, False, False),
}


@pytest.mark.parametrize("case", CASES)
def test_images_follow_as_fast_as_estimated(case: str) -> None:
    shape, strides, classes, room, waits = CASES[case]
    layers = [Layer("image", Input(shape))]
    for k, stride in enumerate(strides):
        conv = Conv2d(4, (3, 3), padding=(1, 1), stride=(stride, stride), relu=True)
        layers.append(Layer(f"conv{k}", conv, (layers[-1].name,)))
    layers.append(Layer("logits", Linear(classes), (layers[-1].name,)))
    graph, bits = NetworkGraph("streamed", layers), Quantisation(4, QuantSpec(4, 4))
    network = shape_only(graph, bits, 8)
    npu = NpuConfig(lanes=4, columns=8, post_units=1, weight_digit_bits=4, scale_bits=8)
    npu = dataclasses.replace(npu, accumulator_bits=max(worst_accumulator_bits(network), 10))
    npu = dataclasses.replace(npu, **minimal_depths(network, npu))
    if room:
        npu = dataclasses.replace(npu, activation_depth=4 * npu.activation_depth)
    planned = plan(network, npu)
    estimated = estimate_design(as_design("streamed", graph, bits, npu)).figures
    found = simulate("streamed", graph, bits, npu).figures
    assert found.cycles_per_image == planned.cycles == estimated.cycles_per_image
    assert found.interval_cycles == planned.interval_cycles == estimated.interval_cycles
    rate = CLOCK_MHZ * 1e6 / (found.interval_cycles or planned.cycles)
    assert found.images_per_second == estimated.images_per_second == pytest.approx(rate)
    assert bool(planned.stream) == (planned.interval_cycles is not None) == room
    if planned.stream:
        assert (found.interval_cycles != interval_cycles(npu, planned.stream)) == waits
