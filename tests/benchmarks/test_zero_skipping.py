"""benchmarks.zero_skipping puts the zeros into the weights that its variants name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks.networks.zoo import cnn_b
from benchmarks.untrained import random_weights
from benchmarks.zero_skipping import VARIANTS, thinned
from models.integer.lower import shape_only
from models.quantisation.blocks import BlockShape, zero_blocks
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig

NPU = NpuConfig(lanes=16, columns=16, weight_digit_bits=2)
BLOCK = BlockShape(16, 16)


def test_blocks_and_digits_are_gone_where_they_were_asked_for() -> None:
    network = random_weights(shape_only(cnn_b(), Quantisation(4, QuantSpec(4, 4)), 8), 8, 1)
    found = thinned(network, VARIANTS["both-50"], {"conv2d2": BLOCK}, NPU)
    before, after = (net.mac_layers[1].sources[0].weights for net in (network, found))
    assert zero_blocks(before, BLOCK) == 0
    assert zero_blocks(after, BLOCK) >= BLOCK.sums(after).size / 2
    assert np.abs(after[:16]).max() == 7
    assert (after[16:].min(), after[16:].max()) == (-2, 1)
    for one, other in zip(network.mac_layers[2:], found.mac_layers[2:], strict=True):
        assert one is other


def test_unknown_variants_are_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.zero_skipping", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not all" in done.stderr
