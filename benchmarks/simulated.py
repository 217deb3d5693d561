"""A network with random weights on an NPU, built and simulated as a user's design is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.untrained import random_weights
from codesign import build, pipeline
from codesign.compiler import compile_network
from codesign.design import DatasetSpec, Design
from codesign.verify import Verification, verify
from models.datasets import Split
from models.graph import NetworkGraph
from models.lower import shape_only
from models.quantisation import Quantisation
from rtl_gen.config import NpuConfig
from sim.simulator import SimulationError

CLOCK_MHZ = 100.0
IMAGES = 2
"""Random images that each NPU must get bit-exact; all take the same cycles."""
SEED = 1


def simulate(
    name: str, graph: NetworkGraph, quantisation: Quantisation, npu: NpuConfig
) -> Verification:
    """Bit-exact and cycle-exact in Verilator, no stalls. Raises SimulationError, UserError."""
    dataset = DatasetSpec("random images")
    design = Design(name, SEED, dataset, graph, quantisation, npu, CLOCK_MHZ)
    shapes = shape_only(graph, quantisation, npu.scale_bits)
    network = random_weights(shapes, npu.scale_bits, SEED)
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (IMAGES, *graph.shapes[graph.input.name]), np.uint8)
    vectors = pipeline.vectors(network, Split(images, np.zeros(IMAGES, np.int64)), IMAGES)
    with tempfile.TemporaryDirectory(prefix="codesign-benchmark-") as folder:
        out = build.build(design, compile_network(network, npu), vectors, Path(folder) / "build")
        result = verify(out, images=IMAGES, stalls=0.0, clock_mhz=CLOCK_MHZ)
    if not result.passed or result.figures.cycles_per_image is None:
        raise SimulationError(f"{name}: {result.failure}")
    return result
