"""Compile and simulate residual networks whose feature maps go to memory in bands.

``nice python -m benchmarks.residual_tiling [--count 60] [--journal FILE] [--large]``

Setting i is network i % 3 on an NPU drawn with seed i; those in the journal (a JSON object a line,
written after each simulation) are not run again. The networks have layers of stride 2 that read one
tensor: two convolutions with a shortcut, two blocks, and two bottlenecks of 1x1 and 3x3.
``--large`` instead compiles MobileNet-V1 (as benchmarks.memory) and ResNet-18 for 224 x 224 images,
and simulates the second stage of the latter, 64 x 56 x 56 to 128 x 28 x 28, on half of its
activation memory with all weights on chip.
Columns:

- refused: NPUs drawn before for which the compiler found no bands, or none were needed
- network, pixels, lanes, columns, activation_depth, memory_port_bits: the setting
- moves: FILL and SPILL instructions
- cycles: of one image, simulated as compiled; waits for memory, wait_cycles, are among them
- bit_exact: every layer's output and every instruction's cycles are as compiled
- plan_cpu_s, compile_cpu_s: processor time of the plan from shapes, and of the compilation with its
  own plan (``--large``)
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import memory
from benchmarks.networks.zoo import (
    conv,
    mobilenet_v1_large,
    residual,
    resnet18,
    resnet18_stage,
)
from benchmarks.simulated import simulate
from benchmarks.untrained import random_weights
from codesign.compiler import compile_network, minimal_depths, plan
from codesign.results import InfeasibleError
from models.graph.layers import Add, GlobalPool, Input, Linear
from models.graph.network import Layer, NetworkGraph
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import DEPTH_RANGES, MEMORY_PORT_BITS

BITS = Quantisation(4, QuantSpec(weight_bits=4, activation_bits=4))
LARGE = NpuConfig(
    pixels=7, lanes=8, columns=16, weight_digit_bits=4, activation_bits=4, accumulator_bits=24,
    post_units=8, activation_depth=8192, weight_depth=2048, channel_depth=2048, result_depth=128,
    program_depth=4096, memory_port_bits=64, memory_tiles=True,
)  # fmt: skip
"""The array of benchmarks.memory, for ResNet-18."""
SHOWN = ("pixels", "lanes", "columns", "activation_depth", "memory_port_bits")


def shortcut() -> NetworkGraph:
    """Two convolutions of stride 2 that read one tensor, 4 x 16 x 16."""
    front = [Layer("input", Input((4, 16, 16))), Layer("stem", conv(4), ("input",))]
    return residual("shortcut", front, [(8, 2, 1)], classes=4)


def blocks() -> NetworkGraph:
    """Two stages of two basic blocks, 3 x 24 x 20; the second has stride 2."""
    front = [Layer("input", Input((3, 24, 20))), Layer("stem", conv(8), ("input",))]
    return residual("blocks", front, [(8, 1, 2), (16, 2, 2)], classes=10)


def bottlenecks() -> NetworkGraph:
    """Two bottlenecks of ResNet-50, 3 x 28 x 28, of strides 1 and 2, each with a shortcut."""
    layers = [Layer("input", Input((3, 28, 28))), Layer("stem", conv(8, 3, 2), ("input",))]
    for n, (inner, outer, stride) in enumerate(((4, 16, 1), (8, 32, 2))):
        source = layers[-1].name
        layers += [
            Layer(f"reduce{n}", conv(inner, 1), (source,)),
            Layer(f"middle{n}", conv(inner, 3, stride), (f"reduce{n}",)),
            Layer(f"expand{n}", conv(outer, 1, relu=False), (f"middle{n}",)),
            Layer(f"shortcut{n}", conv(outer, 1, stride, relu=False), (source,)),
            Layer(f"add{n}", Add(relu=True), (f"expand{n}", f"shortcut{n}")),
        ]
    layers += [Layer("pool", GlobalPool(), ("add1",)), Layer("logits", Linear(10), ("pool",))]
    return NetworkGraph("bottlenecks", layers)


NETWORKS: Sequence[Callable[[], NetworkGraph]] = (shortcut, blocks, bottlenecks)


def setting(number: int) -> tuple[NetworkGraph, NpuConfig, int]:
    """Return a network, an NPU that must tile it, and how many too small ones were drawn before."""
    pick, graph = random.Random(number), NETWORKS[number % len(NETWORKS)]()
    for refused in itertools.count():
        lanes, post = pick.choice((2, 4, 8)), pick.choice((1, 2))
        npu = NpuConfig(
            pixels=pick.choice((1, 2, 3, 4)), lanes=lanes, columns=lanes * pick.choice((1, 2)),
            weight_digit_bits=4, activation_bits=4, accumulator_bits=24, post_units=post,
        )  # fmt: skip
        shapes = shape_only(graph, BITS, npu.scale_bits)
        depths = minimal_depths(shapes, npu) | {"program_depth": 4096}
        depths["activation_depth"] >>= pick.choice((1, 2, 3))
        depths["weight_depth"] >>= pick.choice((0, 0, 1))  # 1: weights come from memory, too
        port = {"memory_port_bits": pick.choice(MEMORY_PORT_BITS[1:]), "memory_tiles": True}
        if depths["activation_depth"] < DEPTH_RANGES["activation_depth"][0]:
            continue
        npu = dataclasses.replace(npu, **depths, **port)
        try:
            tiles = plan(shapes, npu).schedule.moves
        except InfeasibleError:
            continue
        if tiles:
            return graph, npu, refused
    raise AssertionError("unreachable")


def row(graph: NetworkGraph, npu: NpuConfig) -> dict[str, Any]:
    """Return the row of a network that is simulated. Raises SimulationError where it differs."""
    planned = plan(shape_only(graph, BITS, npu.scale_bits), npu)
    found = simulate(graph.name, graph, BITS, npu)
    return {
        "network": graph.name,
        **{name: getattr(npu, name) for name in SHOWN},
        "moves": sum(s.instruction.opcode in (Opcode.FILL, Opcode.SPILL) for s in planned.steps),
        "cycles": found.figures.cycles_per_image,
        "wait_cycles": planned.memory_wait_cycles,
        "bit_exact": found.passed,
    }


def rows(count: int, journal: Path | None) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of the first ``count`` settings, with their numbers; kept in ``journal``."""
    lines = journal.read_text().splitlines() if journal and journal.exists() else []
    known = {found["setting"]: found for found in map(json.loads, lines)}
    for number in range(count):
        if number not in known:
            graph, npu, refused = setting(number)
            known[number] = {"setting": number, "refused": refused} | row(graph, npu)
            if journal:
                with journal.open("a") as file:
                    file.write(json.dumps(known[number]) + "\n")
        yield known[number]


def compiled(graph: NetworkGraph, npu: NpuConfig) -> dict[str, Any]:
    """Return the cycles of a network, and the processor time of its plan and its compilation."""
    shapes = shape_only(graph, BITS, npu.scale_bits)
    network = random_weights(shapes, npu.scale_bits, seed=0)
    begin = time.process_time()
    planned = plan(shapes, npu)
    middle = time.process_time()
    compile_network(network, npu)
    end = time.process_time()
    return {
        "network": graph.name,
        "cycles": planned.cycles + planned.memory_wait_cycles,
        "wait_cycles": planned.memory_wait_cycles,
        "plan_cpu_s": round(middle - begin, 1),
        "compile_cpu_s": round(end - middle, 1),
    }


def large() -> Iterator[Mapping[str, Any]]:
    """Yield the rows of two compiled networks, then that of a simulated stage of ResNet-18."""
    yield compiled(mobilenet_v1_large(), memory.planned(64, tiles=True).schedule.config)
    yield compiled(resnet18(), LARGE)
    stage = resnet18_stage()
    depths = minimal_depths(shape_only(stage, BITS, LARGE.scale_bits), LARGE)
    depths |= {"activation_depth": LARGE.activation_depth // 2, "program_depth": 4096}
    yield row(stage, dataclasses.replace(LARGE, **depths))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="settings (default: 60)")
    parser.add_argument("--journal", type=Path, help="file of finished settings, continued")
    parser.add_argument("--large", action="store_true", help="networks for 224 x 224 images")
    options = parser.parse_args(arguments)
    for found in large() if options.large else rows(options.count, options.journal):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
