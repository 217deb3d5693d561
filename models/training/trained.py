"""Trained networks: weights, history of epochs, and file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.data.datasets import Split
from models.data.targets import CLASSES, TASKS
from models.errors import ModelError
from models.files import yaml_io
from models.files.reading import quoted
from models.graph.network import NetworkGraph
from models.graph.verifier import count_weights
from models.graph.yaml import read_graph
from models.quantisation.accumulators import Accumulator
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
        task: str = CLASSES,
        offset: tuple[float, ...] = (),
    ) -> None:
        """history: empty for a network that was calibrated, not trained. task: of its outputs.

        offset: what is added to the outputs of each channel for numbers of the data; empty: 0.
        """
        self.graph = graph
        self.quantisation = quantisation
        self.network = network.eval()
        self.history = history
        self.task, self.offset = task, offset

    @property
    def classifies(self) -> bool:
        """True if the outputs are classes of the whole input."""
        return self.task == CLASSES

    @property
    def validation_accuracy(self) -> float:
        """Validation accuracy, 0..1, or other score, of the epoch whose weights were kept.

        Raises ValueError for a network that was not trained.
        """
        kept = kept_epoch(self.history)
        if kept is None:
            raise ValueError("the network was not trained")
        return self.history[kept - 1].accuracy

    def evaluate(self, split: Split) -> float:
        """Return the accuracy of a classifier on ``split``, 0..1; 0 for an empty one."""
        return evaluate(self.network, split)

    def outputs(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Return the outputs (n, outputs) of levels (n, C, H, W), n >= 1, in units of the data."""
        found = outputs(self.network, images)
        starts = np.array(self.offset or (0.0,))
        return found + np.repeat(starts, found.shape[1] // len(starts))

    def save(self, path: Path) -> None:
        """Write a file without code in it, whole or not at all. Raises OSError."""
        content = {
            "network": checkpoint.network_text(self.graph, self.quantisation),
            "scale_bits": self.network.scale_bits,
            "state": self.network.state_dict(),
            "history": [dataclasses.astuple(epoch) for epoch in self.history],
        }
        accumulator = self.network.accumulator
        if accumulator is not None:
            content["accumulator"] = [accumulator.bits, accumulator.offset]
        if self.task != CLASSES:  # older files have no task
            content |= {"task": self.task, "offset": list(self.offset)}
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
        ends = _ends(content, graph.shapes[graph.output.name][0], path)
        network = QuantNetwork(
            graph, quantisation, scale_bits, accumulator=_accumulator(content, path)
        )
        network.quantise()
        checkpoint.load_state(network, state, path)
        return TrainedNetwork(graph, quantisation, network, history, *ends)


def _ends(content: dict[str, Any], channels: int, path: Path) -> tuple[str, tuple[float, ...]]:
    """Return task and offset of a file, which older ones lack. Raises ModelError."""
    task, offset = content.get("task", CLASSES), content.get("offset", [])
    if task not in TASKS:
        raise ModelError(f"{path}: task must be one of {', '.join(TASKS)}, not {quoted(task)}")
    if not isinstance(offset, list) or len(offset) not in (0, channels):
        raise ModelError(f"{path}: offset must be a list of {channels} numbers")
    if not all(type(one) is float and abs(one) <= checkpoint.MOST_WEIGHT for one in offset):
        raise ModelError(f"{path}: offset must be numbers up to {checkpoint.MOST_WEIGHT:g}")
    return task, tuple(offset)


def _accumulator(content: dict[str, Any], path: Path) -> Accumulator | None:
    """Return the accumulators that a network was trained for, if any. Raises ModelError."""
    stored = content.get("accumulator")
    if stored is None:
        return None
    if not isinstance(stored, list) or len(stored) != 2:
        raise ModelError(f"{path}: accumulator must be a list of bits and offset")
    try:
        return Accumulator(*stored)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


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
    found = [forward(batch).argmax(dim=1) for batch in _batches(images)]
    return torch.cat(found).numpy() if found else np.zeros(0, np.int64)


@torch.no_grad()
def outputs(forward: Callable[[Tensor], Tensor], images: NDArray[Any]) -> NDArray[np.float64]:
    """Return the outputs (n, outputs) of ``images``, n >= 1. forward: as for ``answers``."""
    found = torch.cat([forward(batch) for batch in _batches(images)])
    return found.double().numpy()


def _batches(images: NDArray[Any]) -> Iterator[Tensor]:
    for start in range(0, len(images), EVALUATION_BATCH):
        yield torch.from_numpy(images[start : start + EVALUATION_BATCH])
