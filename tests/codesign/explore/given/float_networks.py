"""A float network of the digits, trained in seconds and written as ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from models.data import datasets
from tests.models.importing.onnx_models import model, node, write


def digits_onnx(path: Path, epochs: int = 12, offset: float = 0.0) -> Path:
    """Write a convolution, a max pooling, a convolution and a linear layer; about 95 % right.

    offset: added to all pixels.
    """
    data = datasets.load("digits")
    low, high = data.input_range.low[0], data.input_range.high[0]
    images = torch.from_numpy(data.train.images).float() / 255 * (high - low) + low + offset
    labels = torch.from_numpy(data.train.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(8, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
            torch.nn.Linear(16 * 4 * 4, 10),
        )  # fmt: skip
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(epochs):
            for rows in torch.randperm(len(images)).split(64):
                optimizer.zero_grad()
                F.cross_entropy(net(images[rows]), labels[rows]).backward()
                optimizer.step()
    values = {
        f"{name}_{part}": getattr(net[at], part).detach().numpy()
        for name, at in (("c1", 0), ("c2", 3), ("fc", 6))
        for part in ("weight", "bias")
    }
    nodes = [
        node("Conv", ["x", "c1_weight", "c1_bias"], ["a"], "c1", pads=[1] * 4),
        node("Relu", ["a"], ["b"]),
        node("MaxPool", ["b"], ["c"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["c", "c2_weight", "c2_bias"], ["d"], "c2", pads=[1] * 4),
        node("Relu", ["d"], ["e"]),
        node("Flatten", ["e"], ["f"]),
        node("Gemm", ["f", "fc_weight", "fc_bias"], ["y"], "fc", transB=1),
    ]
    constants = {name: np.asarray(value, np.float32) for name, value in values.items()}
    return write(path, model(nodes, constants, shape=(1, 1, 8, 8)))
