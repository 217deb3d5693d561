"""Measure post units that multiply and that compare, on one network of 2-bit weights and codes.

``python -m benchmarks.networks.post_units [--units U ...] [--estimate] [--json]``

Six 3x3 convolutions in pairs of WIDTHS channels, with max pooling behind each pair, on an 8-bit
image of 3 x 32 x 32 (38.6 million products), on an array of 4 x 32 x 32. LUTs are those of
post-processing alone (module npu_post_process), by synthesis, up to two minutes a row on one core.
Columns:

- units, form: ``post_units``, ``requantisation``
- cycles, interval_cycles: of one image, and from image to image back to back
- first_cycles: of the first layer
- unit_luts: of one post unit; post_luts: of post-processing with its memories; brams likewise
- estimated_luts: of the whole NPU, by the area model

``--estimate`` leaves the synthesis out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from codesign.compiler import minimal_depths, plan, worst_accumulator_bits
from codesign.cost.area import model_file
from codesign.cost.table import ConfigTable
from codesign.fpga import synthesis
from models.graph.layers import Conv2d, Linear, MaxPool, Relu
from models.graph.network import NetworkGraph, sequential
from models.graph.spec import LayerSpec
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen import emit
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import REQUANTISATIONS

WIDTHS, IMAGE_BITS, BITS = (32, 64, 128), 8, 2
ARRAY = NpuConfig(
    pixels=4, lanes=32, columns=32, activation_bits=BITS, weight_digit_bits=BITS,
    wide_input_passes=1,
)  # fmt: skip
UNITS = (4, 8, 16, 32)
UNIT_MODULES = ("npu_post_unit", "npu_threshold_unit")


def graph() -> NetworkGraph:
    """Return the network: pairs of convolutions, max pooling by 2 behind each, a classifier."""
    layers: list[LayerSpec] = []
    for channels in WIDTHS:
        for _ in range(2):
            layers += [Conv2d(channels, (3, 3), padding=(1, 1)), Relu()]
        layers.append(MaxPool((2, 2), (2, 2)))
    return sequential("pairs", (3, 32, 32), *layers, Linear(10))


def measure(units: int, form: str, synthesised: bool) -> dict[str, Any]:
    """Return the row of one NPU. Raises YosysError, InfeasibleError."""
    network = shape_only(graph(), Quantisation(IMAGE_BITS, QuantSpec(BITS, BITS)), ARRAY.scale_bits)
    config = dataclasses.replace(
        ARRAY,
        post_units=units,
        requantisation=form,
        accumulator_bits=worst_accumulator_bits(network),
    )
    config = dataclasses.replace(config, **minimal_depths(network, config))
    planned = plan(network, config)
    (estimated,) = model_file.load().estimate(ConfigTable.of([config])).luts
    row = {
        "units": units,
        "form": form,
        "cycles": planned.cycles,
        "interval_cycles": planned.interval_cycles,
        "first_cycles": planned.steps[1].cycles,
        "estimated_luts": round(estimated),
    }
    if synthesised:
        result = synthesis.synthesise(emit.verilog(config), top="npu_post_process")
        row |= {"post_luts": result.figures.luts, "brams": result.figures.brams}
        row["unit_luts"] = next(
            use.each.luts for name, use in result.by_module.items() if name in UNIT_MODULES
        )
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, nargs="+", default=list(UNITS), metavar="U")
    parser.add_argument("--estimate", action="store_true", help="no synthesis")
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    for units in options.units:
        for form in REQUANTISATIONS:
            row = measure(units, form, not options.estimate)
            told = ", ".join(f"{name} {value}" for name, value in row.items())
            print(json.dumps(row) if options.json else told, flush=True)


if __name__ == "__main__":
    main()
