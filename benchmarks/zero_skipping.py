"""Measure the cycles that blocks of zero weights and zero digits save: CNN B, simulated.

``python -m benchmarks.zero_skipping [VARIANT ...] [--json]``

The NPU is the point 4x2 of benchmarks.density: 4-bit weights take two digit passes of 2 bits.
Weights are random; a variant makes some of them zero as training would (boxes of kept blocks, or
the upper digit of a share of the tiles) in all layers except the first, whose image the host
unfolds. Each variant must be bit-exact and cycle-exact in Verilator, else the exit status is 1.
About a minute per variant. Columns:

- variant, layer ("image": the whole image, with transfers)
- cycles: simulated cycles
- speed_up: cycles of the variant "none" / cycles
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.density import POINTS
from benchmarks.networks.zoo import cnn_b
from benchmarks.simulated import as_design, simulate
from codesign.build import pipeline
from codesign.compiler import minimal_depths
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork, Ints, MacLayer
from models.quantisation.blocks import BlockShape, kept_box
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig
from sim.simulator import SimulationError

BITS = 4
PROGRAM_WORDS = 1024


@dataclasses.dataclass(frozen=True)
class Variant:
    """Zeros to put into the weights of each layer."""

    blocks: float = 0.0
    """Share of the blocks of each tile that is zero."""
    digits: float = 0.0
    """Share of the tiles, from the last one on, with weights of one digit less."""


VARIANTS = {
    "none": Variant(),
    "blocks-50": Variant(blocks=0.5),
    "blocks-75": Variant(blocks=0.75),
    "digits-50": Variant(digits=0.5),
    "digits-100": Variant(digits=1.0),
    "both-50": Variant(blocks=0.5, digits=0.5),
}


def thinned(
    network: IntegerNetwork, variant: Variant, blocks: Mapping[str, BlockShape], npu: NpuConfig
) -> IntegerNetwork:
    """Return ``network`` with the zeros of ``variant`` in the layers that ``blocks`` names."""
    digit_bits = npu.weight_digit_bits
    largest = (1 << digit_bits * (npu.passes(BITS) - 1) - 1) - 1

    def weights_of(layer: MacLayer, block: BlockShape) -> Ints:
        weights = layer.sources[0].weights.copy()
        if variant.blocks:
            weights *= kept_box(weights, block, variant.blocks)
        tiles = -(-len(weights) // block.out_channels)
        whole = (tiles - round(variant.digits * tiles)) * block.out_channels
        weights[whole:] = weights[whole:].clip(-largest - 1, largest)
        return weights

    layers = []
    for layer in network.layers:
        if isinstance(layer, MacLayer) and layer.name in blocks:
            (source,) = layer.sources
            source = dataclasses.replace(source, weights=weights_of(layer, blocks[layer.name]))
            layer = dataclasses.replace(layer, sources=(source,))
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))


def cycles(variant: Variant) -> dict[str, int]:
    """Return the simulated cycles of each layer and of the image. Raises SimulationError."""
    graph, quantisation, npu = cnn_b(), Quantisation(BITS, QuantSpec(BITS, BITS)), POINTS["4x2"]
    depths = minimal_depths(shape_only(graph, quantisation, npu.scale_bits), npu)
    npu = dataclasses.replace(npu, **{**depths, "program_depth": PROGRAM_WORDS})
    blocks = pipeline.weight_blocks(as_design("cnn_b", graph, quantisation, npu))
    run = simulate(
        "cnn_b", graph, quantisation, npu, lambda net: thinned(net, variant, blocks, npu)
    )
    found: Counter[str] = Counter()
    for row in run.layers:
        if row.opcode == "LAYER":  # several of a layer are called "NAME from channel 16"
            found[row.name.split()[0]] += row.simulated
    return {**found, "image": int(run.figures.cycles_per_image or 0)}


def rows(names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one row for each layer and variant."""
    whole = cycles(VARIANTS["none"])
    for name in names:
        found = whole if name == "none" else cycles(VARIANTS[name])
        for layer, simulated in found.items():
            yield {
                "variant": name,
                "layer": layer,
                "cycles": simulated,
                "speed_up": round(whole[layer] / simulated, 2),
            }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    unknown = sorted(set(options.variants) - set(VARIANTS))
    if unknown:
        parser.error(f"VARIANT must be one of {', '.join(VARIANTS)}, not {', '.join(unknown)}")
    try:
        for row in rows(options.variants or list(VARIANTS)):
            text = "{variant:10} {layer:10} {cycles:9,} cycles {speed_up}x".format(**row)
            print(json.dumps(row) if options.json else text, flush=True)
    except SimulationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
