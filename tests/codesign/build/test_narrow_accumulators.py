"""A network that keeps to narrow accumulators is bit-exact in simulation, where its sums are tight.

The same weights without that keep are refused by the compiler, whose proof is of the integers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign import design as designs
from codesign.build import pipeline, verification
from codesign.build.build_folder import build
from codesign.compiler import accumulator_bits
from codesign.prediction import accumulator_of
from codesign.results import InfeasibleError
from models.data.datasets import Split
from tests.codesign.small_build import DESIGN, IMAGES
from tests.models.strategies import pixels, untrained

BITS = 10


def test_a_network_of_tight_sums_is_bit_exact_in_simulation(tmp_path):
    design = designs.loads(DESIGN.replace("accumulator_bits: 16", f"accumulator_bits: {BITS}"))
    kept = accumulator_of(design)
    assert kept is not None
    network = untrained(design.network, design.quantisation, design.seed, 8, kept)
    lowered = pipeline.lower_design(design, network)
    assert accumulator_bits(lowered.integer, design.npu) == BITS  # not a bit less would do
    images = pixels(design.network, IMAGES, design.seed)
    images[0] = 255
    vectors = pipeline.vectors(lowered.integer, Split(images, np.zeros(IMAGES, np.int64)))
    folder = build(design, lowered.compiled, vectors, tmp_path / "narrow")
    assert verification.verify(folder, images=IMAGES).passed


def test_the_same_weights_without_that_keep_are_refused():
    design = designs.loads(DESIGN)
    narrow = dataclasses.replace(design, npu=dataclasses.replace(design.npu, accumulator_bits=BITS))
    network = untrained(design.network, design.quantisation, design.seed)
    with pytest.raises(InfeasibleError, match=r"conv2: needs 1[12] bits of accumulator_bits"):
        pipeline.lower_design(narrow, network)
