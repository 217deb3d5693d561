"""Measure one network with an 8-bit image on arrays of 8, 4 and 2 bits (``wide_input_passes``).

``python -m benchmarks.networks.wide_image [--weight-bits B] [--digit-bits B] [--simulate]``

All arrays have the shape ARRAY and the same accumulators; the network is ``cnn_b`` of the zoo with
random weights and 2-bit activations behind the image, so that each array can run it. An array
narrower than the image takes it in several activation digits; the same array with an image of its
own width stands beside it for comparison. LUTs are those of Yosys, half a minute an array.
``--simulate`` runs two images in Verilator, which must be bit-exact and take the cycles computed.
Columns:

- activation_bits, image_bits, digits (of the image): the array and its image
- luts, ffs, brams: of the whole NPU, memories as deep as the network needs
- luts_per_mac: luts / products per cycle; array_luts_per_mac: LUTs of the MAC cells alone
- load_cycles, first_cycles, cycles: of the image's LOAD, of the first layer, of one image
- simulated_first_cycles, bit_exact: with ``--simulate``
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from benchmarks.density import array_luts
from benchmarks.networks.zoo import cnn_b
from benchmarks.simulated import simulate
from codesign.compiler import minimal_depths, plan, worst_accumulator_bits
from codesign.fpga import synthesis
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen import emit
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DIGIT_BITS

IMAGE_BITS, INNER_BITS = 8, 2
ARRAY = NpuConfig(pixels=2, lanes=16, columns=16, post_units=8)
"""512 products per cycle."""
POINTS = ((8, 8), (4, 4), (4, 8), (2, 2), (2, 8))
"""(bits of the array's activations, bits of the image)."""


def measure(
    activation_bits: int, image_bits: int, weight_bits: int, digit_bits: int, simulated: bool
) -> dict[str, Any]:
    """Return the row of one array. Raises YosysError, SimulationError, InfeasibleError."""
    graph, bits = cnn_b(), QuantSpec(weight_bits, INNER_BITS)
    widest, own = (
        shape_only(graph, Quantisation(b, bits), ARRAY.scale_bits) for b in (IMAGE_BITS, image_bits)
    )
    config = dataclasses.replace(
        ARRAY,
        activation_bits=activation_bits,
        weight_digit_bits=digit_bits,
        accumulator_bits=worst_accumulator_bits(widest),
    )
    if image_bits > activation_bits:
        config = dataclasses.replace(config, wide_input_passes=config.passes(weight_bits))
    config = dataclasses.replace(config, **minimal_depths(own, config))
    planned = plan(own, config)
    load, first = planned.steps[:2]
    result = synthesis.synthesise(emit.verilog(config), dsps=False)
    figures = result.figures
    assert figures.luts is not None
    row = {
        "activation_bits": activation_bits,
        "image_bits": image_bits,
        "digits": config.activation_digits(image_bits),
        "luts": figures.luts,
        "ffs": figures.ffs,
        "brams": figures.brams,
        "luts_per_mac": round(figures.luts / config.macs, 2),
        "array_luts_per_mac": round(array_luts(result) / config.macs, 2),
        "load_cycles": load.cycles,
        "first_cycles": first.cycles,
        "cycles": planned.cycles,
        "tool": result.tool_version,
    }
    if simulated:
        found = simulate("wide_image", graph, Quantisation(image_bits, bits), config)
        layers = [layer for layer in found.layers if layer.opcode == "LAYER"]
        row |= {"simulated_first_cycles": layers[0].simulated, "bit_exact": found.bit_exact}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weight-bits", type=int, default=4)
    parser.add_argument("--digit-bits", type=int, default=4, choices=DIGIT_BITS)
    parser.add_argument("--simulate", action="store_true", help="two images in Verilator, too")
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    for point in POINTS:
        row = measure(*point, options.weight_bits, options.digit_bits, options.simulate)
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        told = (
            "{activation_bits}-bit array, {image_bits}-bit image: {luts:8,.0f} LUTs "
            "{luts_per_mac:6} per product, cells {array_luts_per_mac:6}, {brams} BRAM, LOAD "
            "{load_cycles:6,} first layer {first_cycles:7,} image {cycles:8,} cycles"
        ).format(**row)
        if options.simulate:
            told += ", simulated {simulated_first_cycles:,}, bit-exact {bit_exact}".format(**row)
        print(told, flush=True)


if __name__ == "__main__":
    main()
