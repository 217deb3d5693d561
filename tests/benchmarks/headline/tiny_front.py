"""A front of one design with random weights, and random images in CIFAR-10's binary batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.untrained import random_weights
from codesign import design as designs
from codesign.build import build_folder, pipeline
from codesign.compiler import compile_network
from models.data.datasets import Split
from models.integer.lower import shape_only

TEST_IMAGES = 300
DESIGN = """\
name: built
seed: 5
dataset: {name: somewhere/cifar10.zip}
network:
- {name: image, op: input, shape: [3, 32, 32]}
- {name: conv1, op: conv2d, out_channels: 4, kernel: 4, stride: 4, relu: true}
- {name: pool1, op: max_pool, kernel: 2}
- {name: logits, op: linear, out_features: 10}
quantisation:
  input_bits: 4
  default: {weight_bits: 4, activation_bits: 4}
npu:
  pixels: 1
  lanes: 4
  columns: 4
  weight_digit_bits: 4
  activation_bits: 4
  activation_depth: 4096
  weight_depth: 256
  channel_depth: 32
  result_depth: 16
  program_depth: 256
"""


def data(folder: Path) -> Path:
    """Write random images as CIFAR-10, and return the folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        count = TEST_IMAGES if name == "test_batch" else 20
        rows = rng.integers(0, 256, (count, 1 + 3072), np.uint8)
        rows[:, 0] = np.arange(count) % 10
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    return folder


def build(folder: Path) -> Path:
    """Write a build folder of the design with random weights, and return it."""
    design = designs.loads(DESIGN)
    shapes = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    network = random_weights(shapes, design.npu.scale_bits, design.seed)
    split = Split(np.zeros((1, 3, 32, 32), np.uint8), np.zeros(1, np.int64))
    return build_folder.build(
        design,
        compile_network(network, design.npu),
        pipeline.vectors(network, split, 1),
        folder,
        reports={"training": {"full": {"kept_epoch": None, "epochs": []}}},
    )
