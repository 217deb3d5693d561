"""Checkpoints: unfinished training runs on disk, as tensors and plain values without code.

The files are torch.save's; ``tensor_file`` reads them, which builds nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.data.datasets import Dataset
from models.data.targets import CLASSES
from models.errors import ModelError
from models.files import yaml_io
from models.files.reading import FileError, MissingFile, printable, quoted
from models.files.writing import atomic_file
from models.graph.network import NetworkGraph
from models.graph.yaml import graph_items
from models.quantisation.plan import Quantisation
from models.quantisation.yaml import quantisation_items
from models.training import tensor_file
from models.training.schedule import TrainSettings

FORMAT = 2
"""File format; 2 names learned scales ``log_scale`` in state dictionaries, 1 ``log_step``."""
MOST_WEIGHT = 1e9
"""Largest magnitude of a trained number; larger ones come from damage."""
State = dict[str, Tensor]
History = list[tuple[Any, ...]]
"""The fields of history.Epoch for each epoch; older files lack the last, training_accuracy."""


@dataclass(frozen=True)
class StoredRun:
    """State after its last epoch, from which an unfinished run continues with its next one.

    Made by ``load_run``.
    """

    network: State
    average: State
    """State dictionary of averaging.Average's network; empty without averaging."""
    optimizer: dict[str, Any]
    best: State
    """State dictionary of the best quantised epoch; empty before the first one."""
    history: History


def identity(
    graph: NetworkGraph, quantisation: Quantisation, dataset: Dataset, settings: TrainSettings
) -> str:
    """Return a hash (SHA-256, hexadecimal) of everything that determines a training run.

    It covers network, quantisation, training and validation split, and all settings but
    ``compile`` and ``threads``, which change speed and the last bits of sums alone.
    """
    digest = hashlib.sha256(network_text(graph, quantisation).encode())
    for split in (dataset.train, dataset.validation):
        digest.update(split.images.tobytes())
        digest.update(split.labels.tobytes())
    if dataset.task != CLASSES:  # which has no part in older files' hashes
        digest.update(dataset.task.encode())
    plain = dataclasses.asdict(settings)
    del plain["compile"], plain["threads"]
    if not plain["augmentation"]["cutout"]:
        del plain["augmentation"]["cutout"]
    unset = (
        "accumulator",
        "boo",
        "pruning",
        "narrow",
        "class_weights",
        "norm_share",
        "average_epochs",
        "bfloat16",
    )
    for later in unset:  # which do not change the hash
        if not plain[later]:
            del plain[later]
    digest.update(repr(sorted(plain.items())).encode())
    return digest.hexdigest()


def network_text(graph: NetworkGraph, quantisation: Quantisation) -> str:
    """Return graph and quantisation as one YAML text."""
    return yaml_io.dump(
        {
            "name": graph.name,
            "network": graph_items(graph),
            "quantisation": quantisation_items(quantisation, graph),
        }
    )


def save_run(path: Path, run: str, stored: StoredRun) -> None:
    """Write a run's state to ``path``; ``run`` is its ``identity``.

    Raises OSError; the previous checkpoint stays in that case.
    """
    save({"run": run, **vars(stored)}, path)


def load_run(path: Path, run: str) -> StoredRun | None:
    """Return the stored state of the run with identity ``run``, or None if there is no file.

    Raises ModelError when the file is another run's or no checkpoint.
    """
    if not path.exists():
        return None
    content = load(path, {"run", "network", "optimizer", "best", "history"})
    if content["run"] != run:
        raise ModelError(
            f"{path}: is the checkpoint of another run (network, bits, data or settings differ); "
            "remove it or name another file"
        )
    average = content.get("average", {})
    for state in (content["network"], average, content["best"]):
        check_state(state, path)
    history = checked_history(content["history"], path)
    return StoredRun(content["network"], average, content["optimizer"], content["best"], history)


def check_state(state: Any, path: Path) -> None:
    """Raise ModelError unless ``state`` holds tensors of numbers that training can have reached."""
    if not isinstance(state, dict):
        raise ModelError(f"{path}: weights must be tensors by name")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ModelError(f"{path}: weights must be tensors by name")
        if tensor.numel() and not bool((tensor.abs() <= MOST_WEIGHT).all()):
            raise ModelError(
                f"{path}: {printable(name)} holds NaN or numbers beyond {MOST_WEIGHT:g}, which no "
                "training gives"
            )


def checked_history(history: Any, path: Path) -> History:
    """Return the history of a file, each of its epochs the fields of history.Epoch.

    Raises ModelError unless they are such values, of one epoch at least; the training accuracy and
    whether it was kept may be missing. Accuracies, and other scores, are at most 1.
    """
    kinds = (int | float, int | float, bool, int | float | None, bool)
    epochs: list[Any] = history if isinstance(history, list) and history else [None]
    for epoch in epochs:
        known = isinstance(epoch, tuple | list) and 3 <= len(epoch) <= len(kinds)
        if not known or not all(map(isinstance, epoch, kinds)) or not epoch[1] <= 1:
            raise ModelError(
                f"{path}: history must hold loss, accuracy, quantised and training accuracy of "
                "each epoch"
            )
    return history


def load_state(network: nn.Module, state: State, path: Path | None) -> None:
    """Load ``state`` into ``network`` in place. Raises ModelError when names or shapes differ.

    path: file that the message names.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path}: does not fit its network ({error})") from None


def save(content: dict[str, Any], path: Path) -> None:
    """Write plain values and tensors, with the format's number, whole or not at all.

    ``content`` is not changed. Raises OSError.
    """
    content = {"format": FORMAT, **content}
    stream = io.BytesIO()  # torch.save turns the OSError of a full disk into a RuntimeError
    torch.save(content, stream)
    with atomic_file(path) as file:
        file.write(stream.getbuffer())


def load(path: Path, keys: set[str]) -> dict[str, Any]:
    """Return the content of a file that ``save`` wrote with at least these ``keys``.

    State dictionaries of format 1 get the names of format 2. Raises ModelError naming the file,
    also if it cannot be read.
    """
    try:
        content = tensor_file.read(path)
    except MissingFile:
        raise ModelError(f"{path}: no such file") from None
    except FileError as error:
        raise ModelError(f"{path}: truncated or not a checkpoint ({error})") from None
    if not isinstance(content, dict) or not keys <= set(content):
        raise ModelError(f"{path}: is another kind of file; it must hold {', '.join(sorted(keys))}")
    if content.get("format") == 1:
        states = ("network", "best", "state")
        return {**content, **{key: _renamed(content[key]) for key in states if key in content}}
    if content.get("format") != FORMAT:
        raise ModelError(
            f"{path}: format {quoted(content.get('format'))}, this version reads 1, {FORMAT}"
        )
    return content


def _renamed(value: Any) -> Any:
    """Return a state dictionary of format 1 with format 2's names; any other value unchanged."""
    if not isinstance(value, dict):
        return value
    return {re.sub(r"\blog_step$", "log_scale", name): tensor for name, tensor in value.items()}
