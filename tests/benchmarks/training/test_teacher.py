"""The teacher's benchmark: its first layer whitens, it learns, and its file is read back."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.training import teacher
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.network import QuantNetwork
from models.training.trained import TrainedNetwork


def test_first_layer_whitens_patches_and_gives_their_negatives():
    smooth = F.interpolate(torch.rand(90, 3, 9, 9), size=(32, 32), mode="bilinear")
    images = (255 * smooth).to(torch.uint8)
    network = QuantNetwork(teacher.network(), Quantisation(8, QuantSpec(8, 8)))
    teacher.whiten(network, images)
    first = network.weight_layers[0]
    pixels = network.input(images)
    with torch.no_grad():
        found = F.conv2d(pixels, first.weight, first.bias).permute(1, 0, 2, 3).reshape(24, -1)
    torch.testing.assert_close(found[:12], -found[12:], atol=1e-4, rtol=1e-4)
    assert found.mean(1).abs().max() < 0.2
    strongest = torch.cov(found[:3])
    assert torch.dist(strongest, torch.eye(3)) < 0.3


def test_teacher_learns_and_is_read_back(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(teacher, "BATCH", 20)
    monkeypatch.setattr(torch, "compile", lambda network, dynamic: network)
    labels = np.arange(200) % 10
    images = np.zeros((200, 3, 32, 32), np.uint8)
    images[np.arange(200), labels % 3, 3 * labels] = 200  # a row of one colour for each class
    images += np.random.default_rng(0).integers(0, 20, images.shape, dtype=np.uint8)
    data, out = tmp_path / "data.npz", tmp_path / "teacher.weights"
    np.savez(data, x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    teacher.main([str(data), "--out", str(out), "--epochs", "4", "--threads", "1"])
    trained = TrainedNetwork.load(out)
    assert len(trained.history) == 5
    assert trained.history[-1].quantised
    assert trained.history[3].training_accuracy > trained.history[0].training_accuracy
    assert trained.history[-1].accuracy == pytest.approx(trained.history[-2].accuracy, abs=0.1)
    assert len(json.loads((tmp_path / "teacher.weights.log.json").read_text())) == 5
    assert "8 bits" in capsys.readouterr().out
    monkeypatch.setattr(teacher, "BATCH", 500)
    for wrong, told in ((["digits"], "500 or more"), ([str(data)], "500 or more")):
        with pytest.raises(SystemExit, match="2"):
            teacher.main([*wrong, "--out", str(out)])
        assert told in capsys.readouterr().err
