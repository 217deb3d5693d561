"""Design: a network, its bits and the NPU that runs it, in one YAML file a person can edit."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.results import UserError
from models import yaml_io
from models.files import atomic_file
from models.graph.network import NetworkGraph
from models.graph.verifier import verify
from models.graph.yaml import graph_items, read_graph
from models.quantisation import plan as bits
from models.quantisation.plan import Quantisation
from models.quantisation.yaml import quantisation_items, read_quantisation
from rtl_gen.config import NpuConfig

MAX_CLOCK_MHZ = 1000.0
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_KEYS = ("name", "seed", "dataset", "network", "quantisation", "npu", "clock_mhz")


@dataclass(frozen=True)
class DatasetSpec:
    """Which images the network is for; where they lie is the user's affair (--data-dir)."""

    name: str


@dataclass(frozen=True)
class Design:
    """Everything that training, the compiler and the generator need.

    The graph bears the design's name. Raises UserError for a bad name, seed or clock, ModelError
    for a network that is not sound or bits of layers that it does not have.
    """

    name: str
    seed: int
    dataset: DatasetSpec
    network: NetworkGraph
    quantisation: Quantisation
    npu: NpuConfig
    clock_mhz: float = 100.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"design name {self.name!r} must be a letter and up to 63 letters, digits, '_', '-'"
            )
        if self.seed < 0:
            raise UserError(f"seed must be >= 0, not {self.seed}")
        if not 0 < self.clock_mhz <= MAX_CLOCK_MHZ:
            raise UserError(f"clock_mhz must be 0..{MAX_CLOCK_MHZ:g}, not {self.clock_mhz}")
        if self.network.name != self.name:
            object.__setattr__(self, "network", NetworkGraph(self.name, self.network.layers))
        verify(self.network)
        bits.check(self.quantisation, self.network)

    def to_yaml(self) -> str:
        """The design file's text; ``loads`` gives back an equal design."""
        items: dict[str, Any] = {
            "name": self.name,
            "seed": self.seed,
            "dataset": dataclasses.asdict(self.dataset),
            "clock_mhz": self.clock_mhz,
            "network": graph_items(self.network),
            "quantisation": quantisation_items(self.quantisation, self.network),
        }
        # The knobs one a line: what a person edits one by one, and what diffs show.
        knobs = "".join(f"  {k}: {_scalar(v)}\n" for k, v in self.npu.to_dict().items())
        return f"{yaml_io.dump(items)}npu:\n{knobs}"

    def save(self, path: Path) -> None:
        """Write ``path``, whole or not at all. Raises OSError."""
        with atomic_file(path) as file:
            file.write(self.to_yaml().encode())


def loads(text: str, name: str = "<text>") -> Design:
    """A design from YAML text; ``name`` stands for the file in messages. Raises YamlError."""
    return _read(yaml_io.load(text, name))


def load(path: Path) -> Design:
    """A design file. Raises YamlError with file and line."""
    return _read(yaml_io.load(path))


def _read(node: yaml_io.Node) -> Design:
    nodes = node.fields(_KEYS, ("name", "dataset", "network"))
    name = nodes["name"].string()
    graph = read_graph(nodes["network"], name)
    quantisation = Quantisation()
    if "quantisation" in nodes:
        quantisation = read_quantisation(nodes["quantisation"], graph)
    try:
        return Design(
            name=name,
            seed=nodes["seed"].integer(0) if "seed" in nodes else 0,
            dataset=yaml_io.build(nodes["dataset"], DatasetSpec),
            network=graph,
            quantisation=quantisation,
            npu=_read_npu(nodes.get("npu"), graph, quantisation),
            clock_mhz=nodes["clock_mhz"].number() if "clock_mhz" in nodes else 100.0,
        )
    except UserError as error:
        raise node.error(str(error)) from None


def _read_npu(
    node: yaml_io.Node | None, graph: NetworkGraph, quantisation: Quantisation
) -> NpuConfig:
    """The NPU of a design file; where it does not say ``activation_bits``, the network's widest.

    Raises YamlError.
    """
    widest = {"activation_bits": bits.widest_activation(quantisation, graph)}
    if node is None:
        return NpuConfig(activation_bits=widest["activation_bits"])
    given = "activation_bits" in node.mapping()
    return yaml_io.build(node, NpuConfig, **({} if given else widest))


def _scalar(value: int | str) -> str:
    """Quoted where YAML would read a number in base 60 (2:4)."""
    return f'"{value}"' if ":" in str(value) else str(value)
