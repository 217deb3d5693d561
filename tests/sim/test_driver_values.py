"""The driver takes examples as the data set had them: images, signals, tables, of any numbers."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmarks.untrained import random_weights
from codesign import design as designs
from codesign.build import build_folder, pipeline
from codesign.compiler import compile_network
from codesign.design import DatasetSpec
from models.data.datasets import Split
from models.data.layout import Layout, to_channels_first
from models.data.values import InputRange
from models.integer import reference
from models.integer.lower import shape_only
from sim import driver, layout
from tests.codesign import named_build, small_build
from tests.sim.test_driver import Board

NETWORKS = {
    (6, 1, 1): "- {name: logits, op: linear, out_features: 3}",
    (3, 1, 12): "- {name: conv, op: conv2d, out_channels: 4, kernel: [1, 3], relu: true}\n"
    "- {name: logits, op: linear, out_features: 3}",
    (1, 1, 12): "- {name: logits, op: linear, out_features: 3}",
    (3, 5, 4): "- {name: logits, op: linear, out_features: 3}",
}
"""Shape of an example -> the layers behind the input."""


def build(out: Path, shape: tuple[int, int, int], mapping: InputRange, axes: str) -> tuple:
    """Write a build folder for examples of a shape; return its driver and integer network."""
    head, _, rest = small_build.DESIGN.partition("- {name: conv1")
    layers = head.replace("[1, 6, 6]", str(list(shape))) + NETWORKS[shape]
    text = f"{layers}\nquantisation:{rest.partition('quantisation:')[2]}"
    text = text.replace("input_bits: 4", "input_bits: 8")
    text = text.replace("activation_bits: 4\n  accumulator_bits: 16", "accumulator_bits: 24")
    design = dataclasses.replace(
        designs.loads(text), dataset=DatasetSpec("own.npz", axes), input=mapping
    )
    shapes = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    network = random_weights(shapes, design.npu.scale_bits, 4)
    compiled = compile_network(network, design.npu)
    split = Split(np.zeros((1, *shape), np.uint8), np.zeros(1, np.int64))
    build_folder.build(design, compiled, pipeline.vectors(network, split, 1), out)
    board = Board(design.npu)
    npu = driver.Npu(out, board, board)
    npu.load()
    return npu, network


@pytest.mark.parametrize(
    ("shape", "axes", "given", "ends", "dtype"),
    [
        ((6, 1, 1), "auto", (5, 6), (-3, 4), np.float32),
        ((3, 1, 12), "auto", (5, 3, 12), (-128, 127), np.int8),
        ((3, 1, 12), "lc", (5, 12, 3), (-1, 1), np.float64),
        ((1, 1, 12), "auto", (5, 1, 12), (0, 4095), np.uint16),
        ((3, 5, 4), "hwc", (5, 5, 4, 3), (0, 255), np.uint8),
        ((3, 5, 4), "auto", (5, 5, 4, 3), (-50, 50), np.int64),
        ((1, 1, 12), "auto", (5, 1, 1, 12), (0, 1), np.bool_),
    ],
)
def test_examples_of_every_kind_are_classified_as_in_training(
    tmp_path, shape, axes, given, ends, dtype
):
    mapping = InputRange.of(*ends)
    npu, network = build(tmp_path / "built", shape, mapping, axes)
    values = np.random.default_rng(3).uniform(*ends, given)
    values = values.astype(dtype) if dtype is not np.bool_ else values > 0.5
    images, _ = to_channels_first(values, Layout(axes), "values")
    if images.shape[1:] != shape:  # the reader's guess is for a whole data set
        images, _ = to_channels_first(values, Layout("hwc"), "values")
    found = npu.predict(values)
    assert np.array_equal(found.logits, reference.predict(network, mapping.levels(images)))
    assert len(np.unique(found.logits)) > 3
    assert np.array_equal(npu.predict(images).logits, found.logits)  # channels first always fit


def test_every_channel_has_a_range_of_its_own(tmp_path):
    mapping = InputRange((-1, 0, 0, 0, 0, 5), (1, 10, 1, 1, 1, 6))
    npu, network = build(tmp_path / "built", (6, 1, 1), mapping, "auto")
    low, high = np.array(mapping.low), np.array(mapping.high)
    values = low + np.random.default_rng(3).random((4, 6)) * (high - low)
    expected = reference.predict(network, mapping.levels(values[:, :, None, None]))
    assert np.array_equal(npu.predict(values).logits, expected)


@pytest.mark.parametrize("name", layout.AXES)
def test_axes_are_those_of_the_data_sets_reader(name):
    values = np.random.default_rng(0).random((2, 3, 4, 5)[: len(layout.AXES[name])])
    images, _ = to_channels_first(values, Layout(name), "values")
    tensor = {"name": "image", "shape": images.shape[1:], "window": None}
    assert np.array_equal(layout.to_images(tensor, name, values), images)
    assert {one.value for one in Layout} == {"auto", *layout.AXES}


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Path:
    return named_build.write(tmp_path_factory.mktemp("named"))


@pytest.fixture
def npu(named) -> driver.Npu:
    board = Board(small_build.parts()[0].npu)
    made = driver.Npu(named, board, board)
    made.load()
    return made


def test_classes_have_names_and_clipped_values_are_told(npu):
    _, compiled, _ = small_build.parts()
    values = np.random.default_rng(8).uniform(-1.2, 1.2, (6, 6, 6))
    with pytest.warns(UserWarning, match=r"1\d % of the values lie outside .* -1\.\.1, and are cl"):
        found = npu.predict(values)
    expected = reference.predict(compiled.integer, named_build.RANGE.levels(values[:, None]))
    assert np.array_equal(found.logits, expected)
    assert np.array_equal(found.classes, expected.argmax(axis=1))
    assert found.names == [named_build.NAMES[index] for index in found.classes]
    classes, logits = found
    assert (classes is found.classes, logits is found.logits) == (True, True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        npu.predict(np.clip(values, -1, 1))
        assert npu.predict(values[:0]).names == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((1, 1, 6, 6), np.nan), "values must be finite numbers"),
        (np.full((1, 1, 6, 6), "1"), "values must be finite numbers"),
        (np.full((1, 1, 6, 6), None), "values must be finite numbers"),
        (np.full((1, 1, 6, 6), 1j), "values must be finite numbers"),
        (np.zeros((1, 2, 6, 6)), r"values must have shape \(n, 1, 6, 6\), not \(1, 2, 6, 6\)"),
        (np.zeros((5, 6)), r"values must have shape \(n, 1, 6, 6\), not \(5, 6\)"),
        (0.5, r"values must have shape \(n, 1, 6, 6\), not \(\)"),
    ],
)
def test_values_that_cannot_be_mapped_are_refused_before_the_start(npu, values, words):
    with pytest.raises(layout.LayoutError, match=words):
        npu.predict(values)
    assert not npu.bus.started


def test_the_shipped_driver_needs_numpy_alone(named):
    """In a process of its own it imports nothing of this project but what lies in driver/."""
    program = (
        "import sys, numpy\n"
        "from driver.npu import Npu\n"
        "class Idle:\n"
        "    def __init__(self, values): self.values = values\n"
        "    def read(self, address): return self.values.get(address, 0)\n"
        "    def write(self, address, value): pass\n"
        "    def send(self, beats): pass\n"
        "    def receive(self, beats, timeout_s): return numpy.arange(beats, dtype=numpy.uint32)\n"
        "import json\n"
        "hardware = json.load(open('program.json'))['hardware']\n"
        "at = hardware['registers']\n"
        "board = Idle({at['ID']: hardware['id'], at['VERSION']: hardware['isa_version'],\n"
        "              at['CONFIG_HASH']: hardware['config_hash']})\n"
        "npu = Npu('.', board, board)\n"
        "npu.load()\n"
        "assert npu.predict(numpy.zeros((2, 6, 6)) - 0.5).names == ['eel'] * 2\n"
        "foreign = {'codesign', 'models', 'rtl_gen', 'sim', 'torch', 'yaml'} & sys.modules.keys()\n"
        "assert not foreign, foreign\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=named, check=True, env={"PATH": ""})
