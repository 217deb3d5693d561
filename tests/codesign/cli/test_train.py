"""``codesign train`` of sparse and pruned designs: what the design file says is in the weights."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from codesign import design, prediction
from codesign.build import pipeline
from codesign.cli import main
from models.integer.bits import network_bits, total
from models.quantisation.blocks import BlockShape
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity, violation
from models.training.trained import TrainedNetwork
from tests.paths import EXAMPLE


@pytest.fixture(scope="module")
def sparse(tmp_path_factory) -> Path:
    """The example with a sparsity in its quantisation and nothing else said."""
    path = tmp_path_factory.mktemp("sparse") / "sparse.yaml"
    text = EXAMPLE.read_text()
    path.write_text(text.replace("activation_bits: 4}", 'activation_bits: 4, sparsity: "2:4"}'))
    return path


def test_a_sparse_design_trains_to_sparse_weights(sparse, tmp_path, capsys):
    out = tmp_path / "sparse.weights"
    assert main(["train", str(sparse), "--epochs", "2", "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    trained, wanted = TrainedNetwork.load(out), design.load(sparse)
    compiled = pipeline.lower_design(wanted, trained).integer
    assert [layer.sparsity for layer in compiled.mac_layers if layer.op != "max_pool"] == [
        Sparsity(2, 4)
    ] * 3
    for layer in compiled.mac_layers:
        if layer.sparsity:
            assert violation(layer.sources[0].weights, layer.sparsity) is None
    expected = network_bits(compiled, pipeline.weight_blocks(wanted), 2)
    assert result["bits"] == {name: dataclasses.asdict(bits) for name, bits in expected.items()}
    assert total(expected.values()).zero_weights > 0.45 * (1152 + 640)


def test_options_of_training_reach_the_weights(tmp_path, capsys):
    argv = ["train", str(EXAMPLE), "--epochs", "4", "--json"]
    options = ["--zero-blocks", "0.5", "--boo", "20"]
    assert main([*argv, "--out", str(tmp_path / "plain")]) == 0
    plain = json.loads(capsys.readouterr().out)["bits"]
    assert main([*argv, *options, "--out", str(tmp_path / "pruned")]) == 0
    pruned = json.loads(capsys.readouterr().out)["bits"]
    for name, blocks in (("conv2", 36), ("logits", 32)):
        assert pruned[name]["blocks"] == blocks
        assert pruned[name]["zero_blocks"] >= blocks // 2 > plain[name]["zero_blocks"]
        assert pruned[name]["ones"] < plain[name]["ones"]


def test_what_training_leaves_out_the_program_leaves_out(tmp_path):
    """The second tile of conv2 has a digit less, both keep half of their nine blocks."""
    example, out = design.load(EXAMPLE), tmp_path / "skipping.weights"
    argv = ["train", str(EXAMPLE), "--epochs", "4", "--out", str(out)]
    assert main([*argv, "--skip-blocks", "0.5", "--skip-digits", "0.5"]) == 0
    compiled = pipeline.lower_design(example, TrainedNetwork.load(out)).compiled
    steps = [step for step in compiled.program.steps if step.name.startswith("conv2")]
    passes = [step.values["passes"] + 1 for step in steps]
    assert passes == [2, 1]
    walked = ("kernel_rows", "kernel_cols", "groups")
    taps = [math.prod(step.values[name] + 1 for name in walked) for step in steps]
    assert max(taps) <= 9  # of 18
    planned = prediction.plan_design(example)
    assert compiled.plan.layers[1].cycles < 0.45 * planned.layers[1].cycles


def test_blocks_are_the_weight_words_of_the_array():
    """The last layer's ten outputs are two tiles of five; the image is sent unfolded."""
    example = design.load(EXAMPLE)
    assert pipeline.weight_blocks(example) == {
        "conv2": BlockShape(8, 4),
        "logits": BlockShape(5, 4),
    }
    wide = dataclasses.replace(example.npu, lanes=2, columns=4, weight_depth=1024)
    found = pipeline.weight_blocks(dataclasses.replace(example, npu=wide))
    assert found["conv2"] == BlockShape(4, 2)


def test_the_bits_of_another_network_are_refused(sparse, tmp_path, capsys):
    """Dense weights do not pass for a sparse design."""
    out = tmp_path / "dense.weights"
    assert main(["train", str(EXAMPLE), "--epochs", "2", "--out", str(out)]) == 0
    build = ["build", str(sparse), "--weights", str(out), "--out", str(tmp_path / "build")]
    assert main(build) == 2
    assert "the weights are of another network or other bits" in capsys.readouterr().err


def test_shapes_know_the_pattern():
    example = design.load(EXAMPLE)
    quantisation = Quantisation(4, QuantSpec(4, 4, Sparsity(1, 4)))
    planned = prediction.plan_design(dataclasses.replace(example, quantisation=quantisation))
    assert all(
        shape.layer.sparsity == Sparsity(1, 4)
        for shape in planned.schedule.shapes[1:]
        if shape.layer.op in ("conv2d", "linear")
    )
    assert planned.schedule.window, "the first layer reads an unfolded image, and is dense there"


def test_training_starts_from_weights_of_other_bits(sparse, tmp_path, capsys):
    """One epoch from trained weights of 4 bits beats one from random ones."""
    first, two = tmp_path / "first", tmp_path / "two.yaml"
    two.write_text(EXAMPLE.read_text().replace("activation_bits: 4}", "activation_bits: 3}"))
    assert main(["train", str(EXAMPLE), "--epochs", "6", "--out", str(first)]) == 0
    out = tmp_path / "out"
    command = ["train", str(two), "--epochs", "2", "--out", str(out)]
    assert main(command) == 0
    alone = TrainedNetwork.load(out).validation_accuracy
    assert main([*command, "--start", str(first)]) == 0
    assert TrainedNetwork.load(out).validation_accuracy > alone + 0.1
    other = tmp_path / "other.yaml"
    other.write_text(EXAMPLE.read_text().replace("out_channels: 16", "out_channels: 8"))
    assert main(["train", str(other), "--start", str(first), "--out", str(tmp_path / "no")]) == 2
    assert "of another network" in capsys.readouterr().err


def test_training_starts_from_the_integers_of_a_build(tmp_path, capsys):
    """The first epoch's validation accuracy is that of the build, at hardly any learning rate."""
    first, build, out = tmp_path / "first", tmp_path / "build", tmp_path / "out"
    slow = tmp_path / "slow.yaml"
    slow.write_text(EXAMPLE.read_text() + "training: {learning_rate: 1.0e-7}\n")
    assert main(["train", str(EXAMPLE), "--epochs", "6", "--out", str(first)]) == 0
    argv = ["build", str(EXAMPLE), "--weights", str(first), "--out", str(build)]
    assert main(argv) == 0
    command = ["train", str(slow), "--epochs", "2", "--out", str(out), "--start"]
    assert main([*command, str(build)]) == 0
    reached = TrainedNetwork.load(first).validation_accuracy
    assert TrainedNetwork.load(out).validation_accuracy == pytest.approx(reached, abs=0.01)
    capsys.readouterr()
    assert main([*command, str(tmp_path)]) == 2
    assert "design.yaml" in capsys.readouterr().err
