"""Exported networks: ONNX Runtime gives their scores, and the importer reads them back."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
from models.errors import ModelError
from models.exporting import export
from models.importing import imports
from models.integer import reference
from models.integer.network import IntegerNetwork
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.random_networks import learned, random_network
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import write
from tests.models.importing.test_quantised import assert_same, integer

RANDOM = [random_network(random.Random(seed), 8, 0.0, 8 + 8 * (seed % 2)) for seed in range(40)]


def codes_of(network: IntegerNetwork, count: int = 3) -> Any:
    spec = network.tensors[network.input]
    shape = (count, *spec.shape)
    return np.random.default_rng(0).integers(0, 1 << spec.bits, shape).astype(np.uint8)


def outputs(network: IntegerNetwork, codes: Any) -> Any:
    return reference.run(network, codes)[network.output.name]


def written(network: IntegerNetwork, kind: str) -> bytes | None:
    """The file, or None where the format cannot say the network."""
    try:
        return export.onnx_bytes(network, kind)
    except ModelError:
        return None


def test_onnx_runtime_gives_the_scores_of_the_reference_bit_for_bit() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    compared = 0
    for network in RANDOM:
        content = written(network, "onnx")
        if content is None:
            continue
        spec, codes = network.tensors[network.input], codes_of(network)
        x = ((codes.astype(np.float64) - spec.zero_point) * spec.step).astype(np.float32)
        (scores,) = runtime.InferenceSession(content, options).run(None, {"x": x})
        assert np.array_equal(scores, network.real(outputs(network, codes)).astype(np.float32))
        compared += 1
    assert compared >= 0.8 * len(RANDOM)


def test_onnx_runtime_gives_the_scores_of_learned_thresholds() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    compared = 0
    for seed in range(8):
        network = learned(random_network(random.Random(seed), 2, 0.0, 8), seed)
        content = written(network, "onnx")
        if content is None or all(layer.thresholds is None for layer in network.mac_layers):
            continue
        spec, codes = network.tensors[network.input], codes_of(network)
        x = ((codes.astype(np.float64) - spec.zero_point) * spec.step).astype(np.float32)
        (scores,) = runtime.InferenceSession(content, options).run(None, {"x": x})
        assert np.array_equal(scores, network.real(outputs(network, codes)).astype(np.float32))
        compared += 1
    assert compared >= 4


def test_qonnx_says_learned_thresholds_by_its_own_operator(tmp_path: Path) -> None:
    import onnx

    compared = 0
    for seed in range(12):
        network = learned(random_network(random.Random(seed), 2, 0.0, 8), seed)
        content = written(network, "qonnx")
        own = [layer for layer in network.mac_layers if layer.thresholds is not None]
        if content is None or not own:
            continue
        nodes = onnx.load_from_string(content).graph.node
        assert sum(node.op_type == "MultiThreshold" for node in nodes) == len(own)
        (tmp_path / "net.onnx").write_bytes(content)
        back = imports.read(tmp_path / "net.onnx").integer
        if back is not None:
            codes = codes_of(network)
            assert np.array_equal(outputs(back, codes), outputs(network, codes))
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("kind", export.FORMATS)
def test_what_is_read_back_gives_the_same_bits(kind: str, tmp_path: Path) -> None:
    compared = 0
    for network in RANDOM:
        content = written(network, kind)
        if content is None:
            continue
        (tmp_path / "net.onnx").write_bytes(content)
        try:
            back = imports.read(tmp_path / "net.onnx").integer
        except ModelError:
            continue
        codes = codes_of(network)
        if back is not None:
            assert np.array_equal(outputs(back, codes), outputs(network, codes))
            compared += 1
    assert compared >= 0.7 * len(RANDOM)


@pytest.mark.parametrize("kind", export.FORMATS)
def test_a_map_added_to_itself_is_read_back(kind: str, tmp_path: Path) -> None:
    compared = 0
    for seed in range(8):
        build = NetworkBuilder(random.Random(seed), (2, 6, 6), 8)
        first = build.conv3x3("image", 4)
        build.linear(build.add(first, first), 3)
        network = build.build()
        content = written(network, kind)
        assert content is not None
        (tmp_path / "net.onnx").write_bytes(content)
        back, codes = integer(tmp_path / "net.onnx"), codes_of(network)
        assert np.array_equal(outputs(back, codes), outputs(network, codes))
        compared += len(back.mac_layers) == len(network.mac_layers)
    assert compared == 8


@pytest.mark.parametrize("kind", export.FORMATS)
def test_an_imported_network_comes_back_with_its_numbers(kind: str, tmp_path: Path) -> None:
    network = integer(write(tmp_path / "residual.onnx", onnx_models.residual()))
    (tmp_path / "back.onnx").write_bytes(export.onnx_bytes(network, kind))
    back = integer(tmp_path / "back.onnx")
    names = [layer.name for layer in network.layers]
    assert [layer.name for layer in back.layers][:-1] == names[:-1]
    assert_same(network, back)


def test_padding_that_is_not_zero_is_refused_by_layer() -> None:
    build = NetworkBuilder(random.Random(0), (2, 6, 6), 8, zero_point=9)
    build.linear(build.conv3x3("image", 4), 3)
    network = build.build()
    first = dataclasses.replace(network.mac_layers[0], pad_code=200)
    other = dataclasses.replace(network, layers=(first, *network.layers[1:]))
    with pytest.raises(ModelError, match="pads with code 200"):
        export.onnx_bytes(other, "onnx")


def test_equal_networks_give_equal_bytes() -> None:
    assert written(RANDOM[0], "qonnx") == written(RANDOM[0], "qonnx")
