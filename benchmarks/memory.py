"""Measure cycles and memory waits of MobileNet-V1, whose 4.2 million weights stay off the chip.

``python -m benchmarks.memory [--port-bits 32 64 128] [--tiles] [--simulate] [--json]``

Weights are fetched over a memory port of that width (latency 40 cycles, then a beat per cycle).
With ``--tiles`` the activation memory has 1.8 Mbit, a quarter of what the feature maps need, so
that these go to memory, too. ``--simulate`` builds the NPU with random weights and runs one image
in Verilator, which takes some minutes and must give the same numbers. Columns:

- port_bits, macs_per_cycle, weight_depth, activation_depth (words): the NPU
- network_macs: products of one image
- cycles: of one image, without waits; wait_cycles: waits for memory
- images_per_second: at 100 MHz, waits included
- utilisation: network_macs / (cycles + wait_cycles) / macs_per_cycle
- moves, moved_beats: FILL and SPILL instructions, and the beats of the port that they take
- bit_exact, failure, simulated_cycles, simulated_wait_cycles: with ``--simulate``
- clocks_per_second: speed of the simulation
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks.zoo import mobilenet_v1_large
from benchmarks.untrained import random_weights
from codesign.build import build_folder
from codesign.compiler import Plan, compile_network, minimal_depths, plan
from codesign.compiler.mapping.shapes import layer_shapes
from models.integer import reference
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.naming import Names
from sim.run import Request, simulate

CLOCK_MHZ = 100.0
BITS = QuantSpec(weight_bits=4, activation_bits=4)
WEIGHT_DEPTH = 1024
"""Words of weight memory, in two halves: one is computed while the other is fetched."""
TILED_DEPTH = 8192
"""Words of an activation bank with ``--tiles``; seven banks have 1.8 Mbit."""
ARRAY = NpuConfig(
    pixels=7, lanes=8, columns=16, weight_digit_bits=4, activation_bits=4, accumulator_bits=24,
    post_units=8,
)  # fmt: skip
"""An array of 896 products per cycle; maps of 112, 56, 28, 14 and 7 rows make seven even strips."""


def planned(port_bits: int, tiles: bool) -> Plan:
    """Return the plan of the network with weights fetched over a port of ``port_bits``.

    With ``tiles`` feature maps go to memory, too.
    """
    network = shape_only(mobilenet_v1_large(), Quantisation(4, BITS), ARRAY.scale_bits)
    depths = minimal_depths(network, ARRAY) | {"weight_depth": WEIGHT_DEPTH}
    program = {"program_depth": 4096}  # the parts of the layers are more than the layers
    if tiles:
        depths |= {"activation_depth": TILED_DEPTH}
    config = dataclasses.replace(
        ARRAY, memory_port_bits=port_bits, memory_tiles=tiles, **(depths | program)
    )
    return plan(network, config)


def row(found: Plan) -> dict[str, Any]:
    """Return the row of a plan.

    Products that bands compute twice count once in the utilisation.
    """
    config, waits = found.schedule.config, found.memory_wait_cycles
    whole = shape_only(mobilenet_v1_large(), Quantisation(4, BITS), config.scale_bits)
    macs, moves = sum(shape.macs for shape in layer_shapes(whole)), found.schedule.moves
    moved = [step for step in found.steps if step.instruction.opcode in (Opcode.FILL, Opcode.SPILL)]
    beats = sum(
        move.beats
        for of_layer in ((*moves.before.values(), *moves.after.values()) if moves else ())
        for move in of_layer
        if move.opcode in (Opcode.FILL, Opcode.SPILL)
    )
    return {
        "network": found.schedule.network.name,
        "port_bits": config.memory_port_bits,
        "macs_per_cycle": config.macs,
        "network_macs": macs,
        "cycles": found.cycles,
        "wait_cycles": waits,
        "images_per_second": round(CLOCK_MHZ * 1e6 / (found.cycles + waits), 1),
        "utilisation": round(macs / (found.cycles + waits) / config.macs, 4),
        "weight_depth": config.weight_depth,
        "activation_depth": config.activation_depth,
        "moves": len(moved),
        "moved_beats": beats,
    }


def simulated(found: Plan) -> dict[str, Any]:
    """Simulate one image in Verilator; return whether its logits are right, and its cycles."""
    config = found.schedule.config
    network = shape_only(mobilenet_v1_large(), Quantisation(4, BITS), config.scale_bits)
    network = random_weights(network, config.scale_bits, seed=0)
    spec = network.tensors[network.input]
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << spec.bits, (1, *spec.shape), dtype=np.uint8)
    compiled = compile_network(network, config)
    vectors = build_folder.Vectors(codes, reference.run(network, codes))
    with tempfile.TemporaryDirectory(prefix="codesign-memory-") as name:
        for path, content in build_folder.simulated_files(Names(config), compiled, vectors).items():
            file = Path(name) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        result = simulate(Path(name), Request(images=1, stalls=0.0, traced=False, timeout_s=7200))
    inference = result["inference"]
    return {
        "bit_exact": inference["bit_exact"],
        "failure": inference["failure"],
        "simulated_cycles": inference["production_cycles"],
        "simulated_wait_cycles": inference["memory_wait_cycles"],
        "clocks_per_second": result["simulator"]["clocks_per_second"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port-bits", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--tiles", action="store_true", help="feature maps do not fit either")
    parser.add_argument("--simulate", action="store_true", help="run one image in Verilator")
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    for port_bits in options.port_bits:
        found = planned(port_bits, options.tiles)
        shown = row(found) | (simulated(found) if options.simulate else {})
        if options.json:
            print(json.dumps(shown), flush=True)
            continue
        print(
            "{port_bits:4}-bit port: {cycles:,} cycles and {wait_cycles:,} waiting, "
            "{images_per_second} images/s, {utilisation:.1%} busy, {moved_beats:,} beats of "
            "activations in {moves} moves".format(**shown),
            flush=True,
        )
        if options.simulate:
            print("    simulated: {simulated_cycles:,} and {simulated_wait_cycles:,}, "
                  "bit-exact: {bit_exact}, {failure}".format(**shown))  # fmt: skip


if __name__ == "__main__":
    main()
