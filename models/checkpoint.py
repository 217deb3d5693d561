"""Trained networks and unfinished runs on disk: tensors and plain values, no code.

torch.save's container is read with ``weights_only=True``, which builds nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models import yaml_io
from models.datasets import Dataset
from models.errors import ModelError
from models.files import atomic_file
from models.graph import NetworkGraph
from models.graph_yaml import graph_items, quantisation_items, read_graph, read_quantisation
from models.quantisation import Quantisation
from models.schedule import TrainSettings

if TYPE_CHECKING:
    from models.train import TrainedNetwork

FORMAT = 1
State = dict[str, Tensor]
History = list[tuple[float, float, bool]]


@dataclass(frozen=True)
class StoredRun:
    """An unfinished run: what the next epoch starts from."""

    network: State
    optimizer: dict[str, Any]
    best: State
    history: History


@dataclass(frozen=True)
class StoredNetwork:
    graph: NetworkGraph
    quantisation: Quantisation
    scale_bits: int
    state: State
    history: History


def identity(
    graph: NetworkGraph, quantisation: Quantisation, dataset: Dataset, settings: TrainSettings
) -> str:
    """A hash of everything that determines a run, but for the speed settings."""
    digest = hashlib.sha256(_texts(graph, quantisation).encode())
    for split in (dataset.train, dataset.validation):
        digest.update(split.images.tobytes())
        digest.update(split.labels.tobytes())
    plain = dataclasses.asdict(settings)
    for later in ("boo", "pruning", "narrow"):  # runs without them are what they always were
        if not plain[later]:
            del plain[later]
    digest.update(repr(sorted(plain.items())).encode())
    return digest.hexdigest()


def _texts(graph: NetworkGraph, quantisation: Quantisation) -> str:
    return yaml_io.dump(
        {
            "name": graph.name,
            "network": graph_items(graph),
            "quantisation": quantisation_items(quantisation, graph),
        }
    )


def save_run(
    path: Path, run: str, network: State, optimizer: dict[str, Any], best: State, history: History
) -> None:
    """Raises OSError; the last whole checkpoint stays then."""
    content = {
        "format": FORMAT,
        "run": run,
        "network": network,
        "optimizer": optimizer,
        "best": best,
        "history": history,
    }
    _save(content, path)


def load_run(path: Path, run: str) -> StoredRun | None:
    """The stored state of this very run, or None where there is no file.

    Raises ModelError when the file is another run's or no checkpoint.
    """
    if not path.exists():
        return None
    content = _load(path, {"run", "network", "optimizer", "best", "history"})
    if content["run"] != run:
        raise ModelError(
            f"{path}: is the checkpoint of another run (network, bits, data or settings differ); "
            "remove it or name another file"
        )
    return StoredRun(content["network"], content["optimizer"], content["best"], content["history"])


def save_trained(trained: TrainedNetwork, path: Path) -> None:
    """Raises OSError."""
    content = {
        "format": FORMAT,
        "network": _texts(trained.graph, trained.quantisation),
        "scale_bits": trained.network.scale_bits,
        "state": trained.network.state_dict(),
        "history": [dataclasses.astuple(epoch) for epoch in trained.history],
    }
    _save(content, path)


def load_trained(path: Path) -> StoredNetwork:
    """Raises ModelError naming the file."""
    content = _load(path, {"network", "scale_bits", "state", "history"})
    nodes = yaml_io.load(content["network"], str(path)).fields(["name", "network", "quantisation"])
    graph = read_graph(nodes["network"], nodes["name"].string())
    quantisation = read_quantisation(nodes["quantisation"], graph)
    return StoredNetwork(
        graph, quantisation, content["scale_bits"], content["state"], content["history"]
    )


def load_state(network: nn.Module, state: State, path: Path | None) -> None:
    """Put ``state`` into ``network``. Raises ModelError when names or shapes differ."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path}: does not fit its network ({error})") from None


def _save(content: dict[str, Any], path: Path) -> None:
    stream = io.BytesIO()  # torch.save turns the OSError of a full disk into a RuntimeError
    torch.save(content, stream)
    with atomic_file(path) as file:
        file.write(stream.getbuffer())


def _load(path: Path, keys: set[str]) -> dict[str, Any]:
    broken = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (OSError, pickle.UnpicklingError, zipfile.BadZipFile, *broken) as error:
        raise ModelError(f"{path}: truncated or not a checkpoint ({error})") from None
    if not isinstance(content, dict) or not keys <= set(content):
        raise ModelError(f"{path}: holds something other than was expected")
    if content.get("format") != FORMAT:
        raise ModelError(f"{path}: format {content.get('format')}, this version reads {FORMAT}")
    return content
