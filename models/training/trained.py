"""Trained networks: weights, history of epochs, and file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.datasets import Split
from models.errors import ModelError
from models.files import yaml_io
from models.graph.network import NetworkGraph
from models.graph.verifier import count_weights
from models.graph.yaml import read_graph
from models.quantisation.plan import Quantisation
from models.quantisation.yaml import read_quantisation
from models.training import checkpoint
from models.training.history import Epoch, kept_epoch
from models.training.network import QuantNetwork

EVALUATION_BATCH = 512


class TrainedNetwork:
    """Folded, fake-quantised network in eval mode with its graph, quantisation and history.

    Made by ``train`` (models.training.loop) and ``TrainedNetwork.load``.
    """

    def __init__(
        self,
        graph: NetworkGraph,
        quantisation: Quantisation,
        network: QuantNetwork,
        history: tuple[Epoch, ...],
    ) -> None:
        """history: empty for a network that was calibrated, not trained."""
        self.graph = graph
        self.quantisation = quantisation
        self.network = network.eval()
        self.history = history

    @property
    def validation_accuracy(self) -> float:
        """Validation accuracy, 0..1, of the epoch whose weights were kept.

        Raises ValueError for a network that was not trained.
        """
        kept = kept_epoch(self.history)
        if kept is None:
            raise ValueError("the network was not trained")
        return self.history[kept - 1].accuracy

    def evaluate(self, split: Split) -> float:
        """Return the accuracy on ``split``, 0..1; 0 for an empty one."""
        return evaluate(self.network, split)

    def save(self, path: Path) -> None:
        """Write a file without code in it, whole or not at all. Raises OSError."""
        content = {
            "network": checkpoint.network_text(self.graph, self.quantisation),
            "scale_bits": self.network.scale_bits,
            "state": self.network.state_dict(),
            "history": [dataclasses.astuple(epoch) for epoch in self.history],
        }
        checkpoint.save(content, path)

    @staticmethod
    def load(path: Path) -> TrainedNetwork:
        """Read a file that ``save`` wrote. Raises ModelError or YamlError naming the file."""
        content = checkpoint.load(path, {"network", "scale_bits", "state", "history"})
        text, scale_bits, state = content["network"], content["scale_bits"], content["state"]
        if not isinstance(text, str) or type(scale_bits) is not int or not 1 <= scale_bits <= 32:
            raise ModelError(f"{path}: network must be text, scale_bits 1..32")
        keys = ["name", "network", "quantisation"]
        nodes = yaml_io.load(text, str(path)).fields(keys, keys)
        graph = read_graph(nodes["network"], nodes["name"].string())
        quantisation = read_quantisation(nodes["quantisation"], graph)
        checkpoint.check_state(state, path)
        if sum(tensor.numel() for tensor in state.values()) < count_weights(graph):
            raise ModelError(f"{path}: does not fit its network (weights are missing)")
        history = _epochs(content["history"], path)
        network = QuantNetwork(graph, quantisation, scale_bits)
        network.quantise()
        checkpoint.load_state(network, state, path)
        return TrainedNetwork(graph, quantisation, network, history)


def _epochs(history: Any, path: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a file: none, or at least a quantised one. Raises ModelError."""
    if isinstance(history, list) and not history:
        return ()
    epochs = tuple(Epoch(*epoch) for epoch in checkpoint.checked_history(history, path))
    if not any(epoch.quantised for epoch in epochs):
        raise ModelError(f"{path}: history: no epoch is quantised")
    return epochs


def evaluate(network: QuantNetwork, split: Split) -> float:
    """Return the accuracy, 0..1: the fraction of images whose largest logit is the label's.

    It is 0 for an empty split. The network is left in eval mode.
    """
    network.eval()
    return int((answers(network, split.images) == split.labels).sum()) / max(len(split), 1)


@torch.no_grad()
def answers(forward: Callable[[Tensor], Tensor], images: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of each image's largest logit, int64 (n,).

    forward: from a batch of ``images`` (n, C, H, W) to logits (n, classes), such as a QuantNetwork
    in eval mode.
    """
    found = [
        forward(torch.from_numpy(images[start : start + EVALUATION_BATCH])).argmax(dim=1)
        for start in range(0, len(images), EVALUATION_BATCH)
    ]
    return torch.cat(found).numpy() if found else np.zeros(0, np.int64)
