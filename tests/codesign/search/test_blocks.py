"""Blocks that put maps side by side: trained, as integers, in Verilog, and as estimated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.build import pipeline
from codesign.build.verification import verify
from codesign.cost.cycles.schedule import schedule
from codesign.design import DatasetSpec, Design
from codesign.search.space.candidates import npu_table, to_design
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from models.data import datasets
from models.graph.layers import Concat, Conv2d, Input, Linear
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import legalise
from models.integer import reference
from models.integer.lower import lower
from models.quantisation.plan import Quantisation, QuantSpec, plan_tensors
from models.quantisation.sparsity import violation
from tests.codesign.search.spaces import concats, mixed_patterns
from tests.codesign.search.test_space import candidate_of

NETWORKS = {
    "dense and pooled": {"stages": 1, "block1": "dense", "convs1": 3, "channels1": 10},
    "dense with a stride before a ghost": {
        "stages": 2, "pooling": "stride", "block1": "dense", "convs1": 2, "channels1": 10,
        "block2": "ghost", "channels2": 6,
    },
    "patterns of their own": {
        "stages": 2, "block1": "dense", "convs1": 2, "channels1": 12, "sparsity1": "2:4",
        "block2": "ghost", "channels2": 16, "sparsity2": "dense", "sparsity.head": "1:4",
        "array_sparsity": "2:4",
    },
    "ghosts that are added": {
        "stages": 2, "block1": "ghost", "convs1": 2, "residual1": True, "channels1": 12,
        "block2": "ghost", "convs2": 2, "residual2": "projection", "channels2": 14,
        "head": "flatten",
    },
}  # fmt: skip
"""Parameters that differ from the first choices of ``concats`` and ``mixed_patterns``."""

PATTERNS = {"patterns of their own": {"conv1_2": "2:4", "classifier": "1:4"}}
"""N:M patterns of layers as the manifest has them: the first convolution is dense."""


def of_four_bits() -> SearchSpace:
    """The space ``mixed_patterns`` for the digits, with 4-bit tensors, on a small array."""
    base = mixed_patterns()
    every = ("dense", "1:4", "2:4")
    bits = dataclasses.replace(
        base.bits, input=(4,), weights=(4,), activations=(4,), sparsity=(every,) * 4
    )
    npu = dataclasses.replace(
        base.npu, pixels=(2,), lanes=(4,), column_words=(2,), weight_digit_bits=(2,),
        post_units=(2,),
    )  # fmt: skip
    network = dataclasses.replace(base.network, halve=(True,), kernels=(3,))
    return SearchSpace(
        dataclasses.replace(base, bits=bits, npu=npu, network=network), (1, 8, 8), 10
    )


def design_of(name: str) -> tuple[Design, float]:
    """A design of NETWORKS, and its estimated cycles."""
    space = of_four_bits()
    candidate = candidate_of(space, NETWORKS[name])
    layers = space.layers(candidate[None])
    npus = npu_table(space, candidate[None], layers)
    found = to_design(
        space, candidate, npus.config(0), name=name.replace(" ", "-"), seed=0,
        dataset=DatasetSpec("digits"), clock_mhz=100.0,
    )  # fmt: skip
    return found, float(schedule(layers, npus).cycles[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_they_are_trained_lowered_and_simulated_bit_exactly(name: str, tmp_path: Path) -> None:
    """Torch's codes are the integer network's, and the RTL's; cycles are those estimated."""
    design, estimated = design_of(name)
    dataset = datasets.load("digits")
    settings = pipeline.settings_of(design, dataset, epochs=10)
    trained = pipeline.train_design(design, dataset, settings)
    assert trained.history[-1].accuracy > 0.3  # of ten classes, after ten epochs
    frozen, integer = lower(trained, design.npu.scale_bits)
    images = dataset.test.images[:8]
    values = reference.run(integer, reference.quantise_input(integer, images))
    real = frozen.tensors(torch.from_numpy(images))
    for tensor, codes in values.items():
        mine = frozen.codes(tensor, real[tensor]).reshape(codes.shape)
        np.testing.assert_array_equal(mine, codes, err_msg=tensor)
    assert not any("copy" in layer.name for layer in integer.mac_layers)
    lowered = pipeline.lower_design(design, trained)
    out = pipeline.write_build(design, lowered, dataset, tmp_path / "build", images=2)
    result = verify(out, images=2, stalls=0.0)
    assert result.passed, result.failure
    patterns = json.loads((out / "manifest.json").read_text()).get("sparsity", {})
    assert patterns == PATTERNS.get(name, {})
    for layer in integer.mac_layers:
        assert str(layer.sparsity or "") == patterns.get(layer.name, "")
        if layer.sparsity:
            assert violation(layer.sources[0].weights, layer.sparsity) is None
    assert result.figures.cycles_per_image == estimated


def test_what_a_dense_block_puts_side_by_side_shares_scale_and_memory() -> None:
    """Inner concats that layers read stay, as parts of the outer one; nothing is copied."""
    layers = [
        Layer("image", Input((1, 4, 4))),
        Layer("a", Conv2d(2, (1, 1), relu=True), ("image",)),
        Layer("b", Conv2d(3, (1, 1), relu=True), ("a",)),
        Layer("inner", Concat(), ("a", "b")),
        Layer("c", Conv2d(3, (1, 1), relu=True), ("inner",)),
        Layer("outer", Concat(), ("inner", "c")),
        Layer("fc", Linear(2), ("outer",)),
    ]
    legal = legalise(NetworkGraph("g", layers))
    assert legal["outer"].inputs == ("inner", "c")
    bits = Quantisation(4, QuantSpec(4, 4), {"outer": QuantSpec(activation_bits=3)})
    plans = plan_tensors(legal, bits)
    assert {plans[name].scale_owner for name in ("a", "b", "c", "inner", "outer")} == {"outer"}
    assert {plans[name].bits for name in ("a", "b", "c", "inner")} == {3}
    # A signed part makes the concat signed: what a ReLU has clamped is copied.
    signed = [
        Layer("c", Conv2d(3, (1, 1)), ("inner",)) if one.name == "c" else one for one in layers
    ]
    mixed = legalise(NetworkGraph("g", signed))
    assert mixed["outer"].inputs == ("inner_copy", "c")


def test_genes_that_a_dense_block_has_not_are_inactive() -> None:
    """Its convolutions have the activation bits of the first, and nothing is added."""
    base = concats()
    space = SearchSpace(base, (3, 32, 32), 10)
    dense = {"stages": 2, "block2": "dense", "convs2": 3, "convs1": 2}
    params = space.params(candidate_of(space, dense))
    assert "activation_bits2.1" in params
    assert {"residual2", "activation_bits2.2", "activation_bits2.3"}.isdisjoint(params)
    assert {"residual1", "activation_bits1.2", "weight_bits2.2"} <= params.keys()
    changed = candidate_of(space, {**dense, "activation_bits2.2": 6, "residual2": True})
    assert network_key(space, changed) == network_key(space, candidate_of(space, dense))
    assert space.label(params).startswith("2 stages 8-6, plain-dense, ")


def test_designs_are_counted_where_blocks_decide_about_genes() -> None:
    base = load_declaration("digits")
    network = dataclasses.replace(
        base.network, stages=(1,), convs=(1, 2), channels=(8,), kernels=(3,), hidden=(0,),
        blocks=("plain", "dense"),
    )  # fmt: skip
    bits = dataclasses.replace(base.bits, weights=(4,), activations=(2, 4))
    npu = dataclasses.replace(
        base.npu, pixels=(1,), lanes=(4,), column_words=(1,), weight_digit_bits=(2,),
        post_units=(1,), multiplier=("lut",),
    )  # fmt: skip
    declaration = dataclasses.replace(base, network=network, bits=bits, npu=npu)
    space = SearchSpace(declaration, (1, 8, 8), 10)
    assert len(space.every()) == len(np.unique(space.every(), axis=0)) == space.designs


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"blocks": ("ghost",), "channels": (8, 9)}, "even in stages of ghost blocks, not 9"),
        (
            {"blocks": ("dense",), "channels": (1, 9)},
            "channels must be >= convs in stages of dense",
        ),
        ({"blocks": ("dens",)}, "blocks must be of plain, separable, "),
    ],
)
def test_channels_that_a_block_cannot_have_are_refused(
    changes: dict[str, object], wrong: str
) -> None:
    base = load_declaration("digits")
    with pytest.raises(ValueError, match=wrong):
        dataclasses.replace(base, network=dataclasses.replace(base.network, **changes))
