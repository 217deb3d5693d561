"""The network of the headline design on our NPU: whole, within the same LUTs, after synthesis.

Bits of weights and activations are those of the design, rounding and scales are ours; the two
fully connected layers, which the 2019 model leaves out, are computed by the NPU, too.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import simulated
from benchmarks.naqs import designs
from codesign.compiler import minimal_depths
from codesign.compiler.overflow import worst_accumulator_bits
from codesign.cost.area import model_file
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.estimate import estimate
from codesign.cost.table import ConfigTable
from codesign.fpga.synthesis import synthesise
from models.graph.layers import Conv2d, LayerSpec, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig
from rtl_gen.emit import verilog

HIDDEN, CLASSES = 256, 10
LINEAR = QuantSpec(6, 7)
"""Bits of the fully connected layers, which are not quantised in the 2019 design."""
TRIED = 6
"""NPUs that are synthesised at most, in order of their estimated cycles."""
AREA_MARGIN = 1.02
"""NPUs of up to this times the LUTs are worth a synthesis, as estimates err both ways."""


@dataclass(frozen=True)
class Real:
    """What synthesis and simulation say of the network on an NPU. Made by ``measure``."""

    npu: NpuConfig
    luts: int
    brams: float
    cycles: int
    images_per_second: float


def network() -> NetworkGraph:
    """Return the headline network: six convolutions, two fully connected layers."""
    specs: list[LayerSpec] = []
    for layer in designs.HEADLINE:
        rows, cols = layer.kernel
        padding = (rows // 2, cols // 2)
        specs.append(
            Conv2d(layer.out_channels, layer.kernel, (1, 1), padding, batch_norm=True, relu=True)
        )
        if layer.pool > 1:
            specs.append(MaxPool((layer.pool, layer.pool), (layer.pool, layer.pool)))
    specs += [Linear(HIDDEN, relu=True), Linear(CLASSES)]
    return sequential("naqs_headline", designs.IMAGE, *specs)


def quantisation() -> Quantisation:
    """Return its bits: of each layer the weights' and the output's, of the image the model's 7."""
    layers = [layer for layer in network().layers if isinstance(layer.spec, Conv2d)]
    bits = {
        layer.name: QuantSpec(given.weights.bits, given.output.bits)
        for layer, given in zip(layers, designs.HEADLINE, strict=True)
    }
    return Quantisation(designs.INPUT.bits, LINEAR, bits)


def npus(activation_bits: int, accumulator_bits: int) -> Iterator[NpuConfig]:
    """Yield the arrays to choose from, of 48 to 1,024 products a cycle."""
    sizes = (1, 2, 3, 4, 6, 8), (4, 8, 12, 16, 24), (1, 2, 3), (1, 2, 4, 8), (2, 4, 8)
    shapes = itertools.product(*sizes)
    for pixels, lanes, words, units, digit in shapes:
        if 48 <= pixels * lanes * lanes * words <= 1024 and lanes % units == 0:
            yield NpuConfig(
                pixels=pixels, lanes=lanes, columns=lanes * words, post_units=units,
                weight_digit_bits=digit, activation_bits=activation_bits,
                accumulator_bits=accumulator_bits,
            )  # fmt: skip


def fastest(most_luts: int, count: int = TRIED) -> list[NpuConfig]:
    """Return the NPUs of the fewest cycles that should fit by the estimates, the fastest first."""
    shapes = shape_only(network(), quantisation(), NpuConfig.scale_bits)
    widest = max(designs.INPUT.bits, *(layer.output.bits for layer in designs.HEADLINE))
    configs = list(npus(widest, worst_accumulator_bits(shapes)))
    layers = LayerTable.of([shapes]).take(np.zeros(len(configs), np.int64))
    found = estimate(model_file.load(), layers, ConfigTable.of(configs), simulated.CLOCK_MHZ)
    fits = (found.area.luts <= most_luts * AREA_MARGIN) & (found.words.overflow() <= 0)
    order = np.argsort(np.where(fits, found.cycles, np.inf), kind="stable")
    best = order[: min(count, int(fits.sum()))]
    return [_sized(configs[row], shapes) for row in best]


def _sized(config: NpuConfig, shapes: IntegerNetwork) -> NpuConfig:
    return dataclasses.replace(config, **minimal_depths(shapes, config))


def measure(candidates: Sequence[NpuConfig], most_luts: int) -> Real | None:
    """Return the first NPU that fits after synthesis, simulated with random weights; None if none.

    Cycles do not depend on the weights, as nothing is skipped.
    """
    for npu in candidates:
        area = synthesise(verilog(npu)).figures
        if area.luts is None or area.luts > most_luts:
            continue
        result = simulated.simulate("naqs_headline", network(), quantisation(), npu)
        cycles = result.figures.cycles_per_image
        assert cycles is not None  # ``simulate`` raises where there are none
        rate = simulated.CLOCK_MHZ * 1e6 / cycles
        return Real(npu, int(area.luts), area.brams or 0.0, int(cycles), rate)
    return None
