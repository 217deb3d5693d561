"""A small design with random weights and its build folder, for tests behind the compiler.

Nothing is trained, and its four images simulate in a second.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

from benchmarks.untrained import random_weights
from codesign import design as designs
from codesign.build import pipeline
from codesign.build.build_folder import Vectors, build
from codesign.compiler import CompiledNetwork, compile_network
from codesign.design import Design
from models.data.datasets import Split
from models.integer.lower import shape_only

IMAGES = 4
"""Images in the vectors of the build folder."""
DESIGN = """\
name: small
seed: 3
dataset: {name: digits}
clock_mhz: 50.0
network:
- {name: image, op: input, shape: [1, 6, 6]}
- {name: conv1, op: conv2d, out_channels: 4, kernel: 3, padding: 1, relu: true}
- {name: pool1, op: max_pool, kernel: 2}
- {name: conv2, op: conv2d, out_channels: 6, kernel: 3, padding: 1, relu: true}
- {name: logits, op: linear, out_features: 5}
quantisation:
  input_bits: 4
  default: {weight_bits: 4, activation_bits: 4}
npu:
  pixels: 2
  lanes: 2
  columns: 4
  weight_digit_bits: 2
  activation_bits: 4
  accumulator_bits: 16
  scale_bits: 8
  post_units: 1
  activation_depth: 128
  weight_depth: 256
  channel_depth: 32
  result_depth: 16
  program_depth: 256
  multiplier: lut
"""


@functools.cache
def parts(
    memory_port_bits: int = 0, memory_tiles: bool = False
) -> tuple[Design, CompiledNetwork, Vectors]:
    """Return the design, its compiled network, and inputs with expected outputs of every layer.

    With a memory port of ``memory_port_bits`` the weight memory is too small for all weights, which
    are fetched in parts; with ``memory_tiles`` too the activation memory is too small for all
    feature maps, which are computed in bands of rows.
    """
    design = designs.loads(DESIGN.replace("[1, 6, 6]", "[1, 16, 16]") if memory_tiles else DESIGN)
    if memory_port_bits:
        npu = dataclasses.replace(
            design.npu, weight_depth=128, program_depth=512, memory_port_bits=memory_port_bits
        )
        if memory_tiles:
            npu = dataclasses.replace(
                npu, memory_tiles=True, activation_depth=128, weight_depth=1024
            )
        design = dataclasses.replace(design, npu=npu)
    shapes = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    network = random_weights(shapes, design.npu.scale_bits, design.seed)
    spec = network.tensors[network.input]
    rng = np.random.default_rng(design.seed)
    images = rng.integers(0, 256, (IMAGES, *spec.shape), dtype=np.uint8)
    split = Split(images, np.zeros(IMAGES, np.int64))
    return design, compile_network(network, design.npu), pipeline.vectors(network, split, IMAGES)


def write(out: Path, memory_port_bits: int = 0, memory_tiles: bool = False) -> Path:
    """Write the build folder of ``parts`` at ``out`` and return its path."""
    return build(*parts(memory_port_bits, memory_tiles), out)
