"""Simulation of a case in Verilator, and shrinking of one that fails."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codesign.build import pipeline
from codesign.build.build_folder import simulated_files
from codesign.compiler import compile_network
from codesign.results import InfeasibleError
from models.data.datasets import Split
from models.files import folders
from models.integer import reference
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer, Source, TensorSpec
from rtl_gen.naming import Names
from sim.run import Request
from sim.run import simulate as run_bench
from sim.simulator import SimulationError
from tests.sweep.cases import Case, describe, draw, knobs

COMPARED = ("STORE", "EMIT")
"""Instructions that put out a layer's result."""


def run_seed(seed: int) -> dict[str, Any]:
    """Draw and simulate the case of ``seed``, shrink it if it fails, and return its result as JSON.

    Raises ToolMissing, OSError; any other exception is a fault that the sweep has found.
    """
    start, start_cpu = time.monotonic(), _cpu_seconds()
    case = draw(seed)
    drawn = time.monotonic()
    outcome = simulate(case)
    line = {
        "seed": seed,
        **outcome,
        **describe(case),
        "knobs": knobs(case),
        "refused": list(case.refused),
        "too_long": case.too_long,
    }
    if outcome["failure"]:
        line["smaller"] = shrink(case, outcome)
    line["seconds"] = {
        "draw": round(drawn - start, 2), **outcome["seconds"],
        "all": round(time.monotonic() - start, 2),
        "cpu": round(_cpu_seconds() - start_cpu, 2),
    }  # fmt: skip
    return line


def _cpu_seconds() -> float:
    """Return the processor time of this process and of the tools that it has run."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def simulate(case: Case) -> dict[str, Any]:
    """Simulate every image and compare every layer's result and every instruction's cycles.

    ``failure`` in the result is None, or a sentence with the place and both values of the first
    difference.
    """
    images = len(case.images)
    labels = np.zeros(images, np.int64)
    vectors = pipeline.vectors(case.network, Split(case.images, labels), images)
    with tempfile.TemporaryDirectory(prefix="codesign-sweep-") as name:
        folder = Path(name) / "build"
        start = time.monotonic()
        folders.write(simulated_files(Names(case.config), case.compiled, vectors), folder)
        emitted = time.monotonic() - start
        request = Request(images=images, seed=case.seed, stalls=case.stalls, traced=True)
        try:
            result = run_bench(folder, request)
        except SimulationError as error:
            return {"failure": str(error), "seconds": {"emit": round(emitted, 2)}}
    inference, simulator = result["inference"], result["simulator"]
    rows = inference["instructions"]
    production = len(case.compiled.program.steps)
    wrong = [row["name"] for row in rows if row["expected"] != row["simulated"]]
    return {
        "failure": inference["failure"],
        "layer": (inference["mismatch"] or {}).get("layer", wrong[0] if wrong else None),
        "image": (inference["mismatch"] or {}).get("image", 0),
        # The production program's one run, and all images of the traced one.
        "layers_compared": 1 + images * sum(row["opcode"] in COMPARED for row in rows),
        "instructions_compared": production + images * len(rows),
        "clocks": inference["clocks"],
        "stall_cycles": inference["stall_cycles"],
        "simulator": simulator["name"],
        "seconds": {
            "emit": round(emitted, 2),
            "build": simulator["build_seconds"],
            "run": simulator["run_seconds"],
        },
    }


def shrink(case: Case, outcome: dict[str, Any]) -> dict[str, Any] | None:
    """Return the smallest of a few cases cut from ``case`` that fails, too; None if none does.

    All run on the same NPU, whose simulator is already built.
    """
    for smaller in _cuts(case, outcome):
        found = simulate(smaller)
        if found["failure"]:
            return {**describe(smaller), "failure": found["failure"]}
    return None


def _cuts(case: Case, outcome: dict[str, Any]) -> Iterator[Case]:
    """Yield smaller cases, smallest first: the failing layer by itself on the codes that it read,
    the network up to it, the whole network; each with one image, without stalls and with them."""
    one = slice(outcome.get("image", 0), outcome.get("image", 0) + 1)
    case = dataclasses.replace(case, images=case.images[one])
    layer = next((x for x in case.network.mac_layers if x.name == outcome.get("layer")), None)
    cuts = [case.network]
    images = [case.images]
    if layer is not None:
        cuts.insert(0, _up_to(case.network, layer))
        images.insert(0, case.images)
        if len(layer.sources) == 1:
            cuts.insert(0, _alone(case.network, layer))
            images.insert(0, _images_of(case, layer.sources[0].tensor))
    for network, pixels in zip(cuts, images, strict=True):
        try:
            compiled = compile_network(network, case.config)
        except InfeasibleError:  # with the classifier that was put behind the cut
            continue
        for stalls in (0.0, case.stalls):
            yield dataclasses.replace(
                case, network=network, compiled=compiled, images=pixels, stalls=stalls
            )


def _up_to(network: IntegerNetwork, layer: MacLayer) -> IntegerNetwork:
    """Return the layers that ``layer`` depends on, itself, and a classifier of ones."""
    wanted, kept = {layer.output}, []
    for one in reversed(network.layers):
        if one.output in wanted:
            wanted |= set(one.inputs if isinstance(one, ConcatLayer) else
                          [source.tensor for source in one.sources])  # fmt: skip
            kept.insert(0, one)
    return _with_classifier(network, tuple(kept), wanted, network.input)


def _alone(network: IntegerNetwork, layer: MacLayer) -> IntegerNetwork:
    source = layer.sources[0].tensor
    return _with_classifier(network, (layer,), {source, layer.output}, source)


def _with_classifier(
    network: IntegerNetwork,
    layers: tuple[MacLayer | ConcatLayer, ...],
    names: set[str],
    image: str,
) -> IntegerNetwork:
    tensors = {name: spec for name, spec in network.tensors.items() if name in names}
    last = tensors[layers[-1].output]
    if not (isinstance(layers[-1], MacLayer) and layers[-1].raw):
        one = np.ones(1, np.int64)
        head = MacLayer(
            name="sum", op="linear", sources=(Source(last.name, np.ones((1, *last.shape), int)),),
            output="sum", groups=1, stride=(1, 1), padding=(0, 0), pad_code=0, weight_bits=1,
            bias=0 * one, requant_multiplier=one, requant_shift=one, raw=True,
        )  # fmt: skip
        layers += (head,)
        tensors["sum"] = TensorSpec("sum", (1, 1, 1), 32, True, 1.0)
    return IntegerNetwork(network.name, image, layers, tensors, network.scale_bits)


def _images_of(case: Case, tensor: str) -> np.ndarray:
    """Return pixels that quantise to the codes of ``tensor``, with its bits."""
    codes = reference.quantise_input(case.network, case.images)
    top = (1 << case.network.tensors[tensor].bits) - 1
    found = reference.run(case.network, codes)[tensor]
    return ((found * 510 + top) // (2 * top)).astype(np.uint8)
