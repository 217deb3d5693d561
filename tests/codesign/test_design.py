"""Design files survive the round trip, and every mistake in one is named with file and line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codesign import design
from codesign.design import DatasetSpec, Design
from codesign.results import UserError
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.topology import network
from models.errors import YamlError
from models.graph.layers import Conv2d, Linear
from models.graph.network import sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity
from rtl_gen.config import NpuConfig

SMALL = Design(
    name="small",
    seed=3,
    dataset=DatasetSpec("digits"),
    network=sequential("any", (1, 8, 8), Conv2d(8, (3, 3), relu=True), Linear(10)),
    quantisation=Quantisation(4, QuantSpec(3, 4), {"conv2d1": QuantSpec(2, 4)}),
    npu=NpuConfig(lanes=4, columns=12, multiplier="dsp"),
    clock_mhz=62.5,
)


def test_learned_thresholds_that_no_layer_can_have_are_refused():
    text = Path("examples/digits_tiny.yaml").read_text()
    wide = text.replace("quantisation:", "quantisation:\n  learned_thresholds: true", 1)
    with pytest.raises(YamlError, match=r"learned_thresholds: no layer can have them"):
        design.loads(wide)


def test_a_design_survives_the_round_trip(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "design.yaml")
    again = design.load(tmp_path / "design.yaml")
    assert again == SMALL
    assert again.to_yaml() == SMALL.to_yaml()
    assert again.network.name == "small"


def test_sparsity_is_written_in_quotes() -> None:
    """YAML reads 2:4 without quotes as the number 124."""
    npu = NpuConfig(lanes=8, columns=8, sparsity="2:4")
    spec = QuantSpec(4, 4, Sparsity(1, 4))
    sparse = dataclasses.replace(SMALL, npu=npu, quantisation=Quantisation(4, spec))
    assert '  sparsity: "2:4"\n' in sparse.to_yaml()
    assert design.loads(sparse.to_yaml()) == sparse
    with pytest.raises(YamlError, match=r"npu\.sparsity: must be text, not 124"):
        design.loads(sparse.to_yaml().replace('"2:4"', "2:4"))


def test_every_network_of_the_shipped_spaces_survives_the_round_trip() -> None:
    for name, shape in (("digits", (1, 8, 8)), ("images", (3, 32, 32))):
        space = SearchSpace(load_declaration(name), shape, 10)
        random = np.random.default_rng(2)
        candidates = space.canonical(random.integers(0, space.sizes, (20, len(space.sizes))))
        for candidate in candidates:
            graph, quantisation = network(space, candidate)
            made = dataclasses.replace(SMALL, name="made", network=graph, quantisation=quantisation)
            assert design.loads(made.to_yaml()) == made


def test_a_short_file_takes_the_defaults() -> None:
    text = """\
name: tiny
dataset: {name: digits}
network:
  - {name: image, op: input, shape: [1, 8, 8]}
  - {name: out, op: linear, out_features: 10}
npu: {lanes: 4, columns: 4}
"""
    made = design.loads(text)
    assert (made.seed, made.clock_mhz, made.quantisation) == (0, 100.0, Quantisation())
    image_bits = made.quantisation.input_bits  # more than the 4 of the convolutions' default
    assert made.npu == NpuConfig(lanes=4, columns=4, activation_bits=image_bits)
    wide = "quantisation: {default: {weight_bits: 8, activation_bits: 8}}\n"
    sums = 64 * 127 * 255  # of any weights: two bits more than the accumulators' default
    assert design.loads(text + wide).npu.accumulator_bits == sums.bit_length() + 1 == 22
    said = text.replace("columns: 4", "columns: 4, accumulator_bits: 20") + wide
    assert design.loads(said).npu.accumulator_bits == 20


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  lanes: 4", "  lane: 4", r"d\.yaml:\d+: npu.lane: unknown key 'lane'; did you mean"),
        ("  lanes: 4", "  lanes: 4\n  lanes: 4", r"d\.yaml:\d+: key 'lanes' is given twice"),
        ("  columns: 12", "  columns: 10", r"d\.yaml:\d+: npu.columns must be a multiple of"),
        ("  pixels: 2", "  pixels: 17", r"d\.yaml:\d+: npu.pixels must be 1..16, not 17"),
        ("  pixels: 2", "  pixels: two", r"d\.yaml:\d+: npu.pixels: must be an integer"),
        ("seed: 3", "seed: -1", r"d\.yaml:\d+: seed: must be 0.., not -1"),
        ("clock_mhz: 62.5", "clock_mhz: 0", r"d\.yaml:\d+: clock_mhz must be 0..1000, not 0"),
        ("name: small", "name: 9lives", r"d\.yaml:\d+: design name '9lives' must be a letter"),
        ("op: linear", "op: softmax", r"d\.yaml:\d+: .*softmax"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_and_line(old: str, new: str, message: str) -> None:
    text = SMALL.to_yaml()
    assert old in text
    with pytest.raises(YamlError, match=message):
        design.loads(text.replace(old, new, 1), "d.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: a", "name: 9lives", r"d\.yaml:8: design name '9lives' must be a letter"),
        ("clock_mhz: 50", "clock_mhz: 1001", r"d\.yaml:9: clock_mhz must be 0..1000, not 1001"),
        ("layout: auto", "layout: hexagons", r"d\.yaml:3: layout must be one of .*'hexagons'"),
        ("resize: [8, 8]", "resize: [8, 0]", r"d\.yaml:4: resize must be 1..4096 rows"),
    ],
)
def test_values_that_the_design_itself_checks_have_their_own_line(
    old: str, new: str, message: str
) -> None:
    text = """\
dataset:
  name: digits
  layout: auto
  resize: [8, 8]
network:
  - {name: image, op: input, shape: [1, 8, 8]}
  - {name: out, op: linear, out_features: 10}
name: a
clock_mhz: 50
"""
    design.loads(text, "d.yaml")
    with pytest.raises(YamlError, match=f"^{message}"):
        design.loads(text.replace(old, new), "d.yaml")


def test_bits_of_an_unknown_layer_are_refused() -> None:
    with pytest.raises(ValueError, match="no layer is named 'conv9'"):
        dataclasses.replace(SMALL, quantisation=Quantisation(layers={"conv9": QuantSpec()}))


def test_a_design_made_in_code_is_checked_too() -> None:
    with pytest.raises(UserError, match="clock_mhz must be"):
        dataclasses.replace(SMALL, clock_mhz=-1.0)
