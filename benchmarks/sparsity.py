"""Measure the cycles that N:M sparse weights save: CNN B, simulated with and without them.

``python -m benchmarks.sparsity [PATTERN ...] [--json]``

The NPU is the point ``4x4-PATTERN`` of benchmarks.density with memories as deep as the dense
network needs. In one run all layers except the first keep the pattern, in the other none; weights
are random. Both must be bit-exact and cycle-exact in Verilator, else the exit status is 1. One or
two minutes per pattern, mostly for building the simulator. Columns:

- pattern, layer ("image": the whole image, with transfers)
- dense_cycles, sparse_cycles: simulated cycles without and with the pattern
- speed_up: dense_cycles / sparse_cycles
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import Any

from benchmarks.density import POINTS
from benchmarks.networks.zoo import cnn_b
from benchmarks.simulated import simulate
from codesign.compiler import minimal_depths
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity
from sim.simulator import SimulationError

BITS = 4
PATTERNS = tuple(name.removeprefix("4x4-") for name in POINTS if name.startswith("4x4-"))


def measure(pattern: str) -> list[dict[str, Any]]:
    """Return a row for each layer and one for the whole image. Raises SimulationError."""
    graph = cnn_b()
    bits = QuantSpec(BITS, BITS)
    first = graph.layers[1].name
    dense = Quantisation(BITS, bits)
    kept = dataclasses.replace(bits, sparsity=Sparsity.parse(pattern))
    sparse = Quantisation(BITS, kept, {first: bits})
    npu = POINTS[f"4x4-{pattern}"]
    npu = dataclasses.replace(npu, **minimal_depths(shape_only(graph, dense, npu.scale_bits), npu))
    runs = [simulate("cnn_b", graph, quantisation, npu) for quantisation in (dense, sparse)]
    rows = [
        (one.name, one.simulated, other.simulated)
        for one, other in zip(runs[0].layers, runs[1].layers, strict=True)
        if one.opcode == "LAYER"
    ]
    whole = [run.figures.cycles_per_image or 0.0 for run in runs]
    return [
        {
            "pattern": pattern,
            "layer": name,
            "dense_cycles": int(all_weights),
            "sparse_cycles": int(few),
            "speed_up": round(all_weights / few, 2),
        }
        for name, all_weights, few in [*rows, ("image", *whole)]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help=", ".join(PATTERNS))
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    unknown = sorted(set(options.patterns) - set(PATTERNS))
    if unknown:
        parser.error(f"PATTERN must be one of {', '.join(PATTERNS)}, not {', '.join(unknown)}")
    try:
        for pattern in options.patterns or PATTERNS:
            for row in measure(pattern):
                text = (
                    "{pattern} {layer:12} {dense_cycles:9,} cycles dense {sparse_cycles:9,} sparse"
                )
                shown = json.dumps(row) if options.json else f"{text} {{speed_up}}x".format(**row)
                print(shown, flush=True)
    except SimulationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
