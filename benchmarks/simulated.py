"""Build and simulate a network with random weights on an NPU, as a user's design is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.untrained import random_weights
from codesign.build import build_folder, pipeline
from codesign.build.verification import Verification, verify
from codesign.compiler import compile_network
from codesign.design import DatasetSpec, Design
from models.data.datasets import Split
from models.graph.network import NetworkGraph
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from models.quantisation.plan import Quantisation
from rtl_gen.config import NpuConfig
from sim.simulator import SimulationError

CLOCK_MHZ = 100.0
IMAGES = 2
"""Random images that each NPU must compute bit-exactly; all take the same cycles."""
SEED = 1


def as_design(name: str, graph: NetworkGraph, quantisation: Quantisation, npu: NpuConfig) -> Design:
    """Return the design of that network and NPU, for random images."""
    dataset = DatasetSpec("random images")
    return Design(name, SEED, dataset, graph, quantisation, npu, CLOCK_MHZ)


def simulate(
    name: str,
    graph: NetworkGraph,
    quantisation: Quantisation,
    npu: NpuConfig,
    change: Callable[[IntegerNetwork], IntegerNetwork] = lambda network: network,
) -> Verification:
    """Simulate the network in Verilator without stalls and return the verified result.

    ``change`` may replace weights of the random network. Raises SimulationError unless every layer
    is bit-exact and every cycle count as compiled, and UserError.
    """
    design = as_design(name, graph, quantisation, npu)
    shapes = shape_only(graph, quantisation, npu.scale_bits)
    network = change(random_weights(shapes, npu.scale_bits, SEED))
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (IMAGES, *graph.shapes[graph.input.name]), np.uint8)
    vectors = pipeline.vectors(network, Split(images, np.zeros(IMAGES, np.int64)), IMAGES)
    with tempfile.TemporaryDirectory(prefix="codesign-benchmark-") as folder:
        compiled = compile_network(network, npu)
        out = build_folder.build(design, compiled, vectors, Path(folder) / "build")
        result = verify(out, images=IMAGES, stalls=0.0, clock_mhz=CLOCK_MHZ)
    if not result.passed or result.figures.cycles_per_image is None:
        raise SimulationError(f"{name}: {result.failure}")
    return result
