"""The design file: a network, its bit widths and its NPU configuration in one editable YAML file.

Reading checks every value and names file and line of the first bad one.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from codesign.compiler import table_count, worst_accumulator_bits
from codesign.results import UserError
from models.data.layout import Layout
from models.data.targets import CLASSES, TASKS
from models.data.values import InputRange
from models.files import yaml_io
from models.files.nodes import Node, build, construct
from models.files.writing import atomic_file
from models.graph.network import NetworkGraph
from models.graph.verifier import verify
from models.graph.yaml import graph_items, read_graph
from models.integer.lower import shape_only
from models.quantisation import plan as bits
from models.quantisation.plan import Quantisation
from models.quantisation.yaml import check_thresholds, quantisation_items, read_quantisation
from models.training.choices import TrainingChoices
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import RANGES

T = TypeVar("T")
MAX_CLOCK_MHZ = 1000.0
MOST_PIXELS = 4096
IMPORTED = "imported"
"""Key that designs of imported networks have instead of layers (codesign.build.imported)."""
DEFAULT_TRAINING = TrainingChoices()
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_KEYS = (
    "name", "seed", "dataset", "input", "pixels", "training", "network", "quantisation", "npu",
    "clock_mhz",
)  # fmt: skip


@dataclass(frozen=True)
class DatasetSpec:
    """The data set that a network is trained and evaluated on, by name.

    The folder that holds its files is no part of a design: commands take it as ``--data-dir``.
    Raises UserError for a bad layout, size or task; that the data set exists is not checked.

    >>> DatasetSpec("fashion-mnist").name
    'fashion-mnist'
    """

    name: str
    """A name that ``models.data.datasets.load`` knows, or the path of a data set."""
    layout: str = "auto"
    """Axes of an example in an .npz (models.data.layout.Layout); auto: guessed from the array's
    shape, which a note of the data set says."""
    resize: tuple[int, int] | None = None
    """(rows, columns) that all pictures are resized to, each 1..MOST_PIXELS; None: kept as is."""
    task: str = CLASSES
    """What its answers, and the network's outputs, are: one of TASKS of models.data.targets."""

    def __post_init__(self) -> None:
        if self.layout not in list(Layout):
            raise UserError(f"layout must be one of {', '.join(Layout)}, not {self.layout!r}")
        if self.resize and not all(1 <= side <= MOST_PIXELS for side in self.resize):
            raise UserError(f"resize must be 1..{MOST_PIXELS} rows and columns, not {self.resize}")
        if self.task not in TASKS:
            raise UserError(f"task must be one of {', '.join(TASKS)}, not {self.task!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the block ``dataset`` of a design file: the name, and fields not at defaults.

        Tuples become lists.
        """
        plain: dict[str, Any] = {"name": self.name}
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                plain[field.name] = list(value) if isinstance(value, tuple) else value
        return plain


@dataclass(frozen=True)
class Design:
    """One network with its bit widths and the NPU that runs it.

    It holds everything that training, the compiler and the Verilog generator need. The network
    graph takes the design's name. Raises UserError for a bad name, seed or clock; ModelError for an
    invalid network, bit widths of layers that it does not have, or a sparsity on a layer that
    cannot have one.

    >>> design = load(Path("examples/digits_tiny.yaml"))
    >>> design.npu.lanes, design.quantisation.default.weight_bits
    (4, 4)
    >>> loads(design.to_yaml()) == design
    True
    """

    name: str
    """A letter and up to 63 letters, digits, ``_`` or ``-``."""
    seed: int
    """Seed of the data split and of training, >= 0."""
    dataset: DatasetSpec
    network: NetworkGraph
    quantisation: Quantisation
    npu: NpuConfig
    clock_mhz: float = 100.0
    """Clock in MHz, above 0 and up to MAX_CLOCK_MHZ: it turns cycles into images per second, and is
    the constraint in project files."""
    input: InputRange | None = None
    """The values that become input level 0 and 255; None: derived from the training part."""
    training: TrainingChoices = DEFAULT_TRAINING
    pixels: InputRange | None = None
    """What pixels 0 and 255 of pictures are in the numbers of data of another kind; None: those."""
    folder: Path | None = dataclasses.field(default=None, compare=False, repr=False)
    """Folder of the file that it was read from: relative paths of data sets may start there.

    None if it was read from no file. Equality of designs ignores it.
    """

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.seed < 0:
            raise UserError(f"seed must be >= 0, not {self.seed}")
        if not 0 < self.clock_mhz <= MAX_CLOCK_MHZ:
            raise UserError(f"clock_mhz must be 0..{MAX_CLOCK_MHZ:g}, not {self.clock_mhz}")
        if self.network.name != self.name:
            object.__setattr__(self, "network", NetworkGraph(self.name, self.network.layers))
        verify(self.network)
        bits.check(self.quantisation, self.network)

    def to_yaml(self) -> str:
        """Return the text of the design file; ``loads`` reads it back as an equal design.

        Only bit widths and sparsities that have no effect on their layer are left out.
        """
        items: dict[str, Any] = {
            "name": self.name,
            "seed": self.seed,
            "dataset": self.dataset.to_dict(),
            "clock_mhz": self.clock_mhz,
            **self._data_items(),
            "network": graph_items(self.network),
            "quantisation": quantisation_items(self.quantisation, self.network),
        }
        return yaml_io.dump(items) + npu_text(self.npu)

    def _data_items(self) -> dict[str, Any]:
        """Return the blocks ``input``, ``pixels`` and ``training``, each only if needed.

        ``input`` and ``pixels``, unless they are None: low and high, each a number, or a list if
        there is one per channel. ``training``: its fields that are not at their defaults, if there
        are any.
        """
        items: dict[str, Any] = {}
        for name, given in (("input", self.input), ("pixels", self.pixels)):
            if given is not None:
                items[name] = input_items(given)
        said = {
            field.name: getattr(self.training, field.name)
            for field in dataclasses.fields(self.training)
            if getattr(self.training, field.name) != field.default
        }
        return {**items, "training": said} if said else items

    def save(self, path: Path) -> None:
        """Write the design file to ``path`` atomically. Raises OSError."""
        with atomic_file(path) as file:
            file.write(self.to_yaml().encode())


def check_name(name: str) -> None:
    """Raise UserError unless ``name`` may be a design's, which files are called by."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"design name {name!r} must be a letter and up to 63 letters, digits, '_', '-'"
        )


def loads(text: str, name: str = "<text>") -> Design:
    """Parse YAML text as a design without a folder; errors call it ``name``. Raises YamlError."""
    return _read(yaml_io.load(text, name))


def load(path: Path) -> Design:
    """Read the design file ``path``, whose folder becomes ``Design.folder``.

    Raises YamlError, also for a file that cannot be read; it names the file, and where a value is
    bad, the line.
    """
    return dataclasses.replace(_read(yaml_io.load(path)), folder=path.parent)


def _read(node: Node) -> Design:
    if IMPORTED in node.mapping():
        raise node.error("is the design of an imported network, which has no layers to train")
    nodes = node.fields(_KEYS, ("name", "dataset", "network"))
    name, dataset = nodes["name"].string(), nodes["dataset"]
    graph = read_graph(nodes["network"], name)
    quantisation = Quantisation()
    if "quantisation" in nodes:
        quantisation = read_quantisation(nodes["quantisation"], graph)
        check_thresholds(nodes["quantisation"], graph, quantisation)

    def make() -> Design:
        return Design(
            name=name,
            seed=nodes["seed"].integer(0) if "seed" in nodes else 0,
            dataset=_construct(dataset, lambda: build(dataset, DatasetSpec)),
            network=graph,
            quantisation=quantisation,
            npu=read_npu(nodes.get("npu"), graph, quantisation),
            clock_mhz=nodes["clock_mhz"].number() if "clock_mhz" in nodes else 100.0,
            input=read_input(nodes["input"]) if "input" in nodes else None,
            pixels=read_input(nodes["pixels"]) if "pixels" in nodes else None,
            training=build(nodes["training"], TrainingChoices)
            if "training" in nodes
            else TrainingChoices(),
        )

    return _construct(node, make)


def _construct(node: Node, make: Callable[[], T]) -> T:
    """Return ``make()``, as ``construct`` does; its UserError becomes a YamlError as well.

    The line is that of the first key of the mapping ``node`` that the message names, if any.
    """

    def strict() -> T:
        try:
            return make()
        except UserError as error:
            raise ValueError(str(error)) from None

    return construct(node, node.mapping(), strict)


def input_items(given: InputRange) -> dict[str, Any]:
    """Return the block ``input``, which ``read_input`` reads: of one range numbers, else lists."""
    ends = {"low": given.low, "high": given.high}
    return {key: value[0] if len(value) == 1 else list(value) for key, value in ends.items()}


def read_input(node: Node) -> InputRange:
    """Read a block ``input``: low and high, the values that become input level 0 and 255.

    Both are required, each a number for all channels or a list of one number per channel. Raises
    YamlError.
    """
    nodes = node.fields(("low", "high"), ("low", "high"))
    ends = [
        tuple(item.number() for item in end.items())
        if isinstance(end.value, tuple)
        else (end.number(),)
        for end in (nodes["low"], nodes["high"])
    ]
    return construct(node, nodes, lambda: InputRange(*ends))


def read_npu(node: Node | None, graph: NetworkGraph, quantisation: Quantisation) -> NpuConfig:
    """Return the NPU of the block ``npu`` of a design file; None stands for a missing block.

    Parameters that are not said have the defaults of NpuConfig, with exceptions: activation_bits
    has the width of the network's widest activations, accumulator_bits is raised, as far as its
    range goes, to what no weights can overflow, and networks with activation functions get
    activation_tables, and channel_depth for them. Raises YamlError.
    """
    given = node.mapping() if node else {}
    widest = {"activation_bits": bits.widest_activation(quantisation, graph)}
    tables = table_count(shape_only(graph, quantisation, RANGES["scale_bits"][0]))
    if tables:
        depth = tables << widest["activation_bits"]
        widest |= {
            "activation_tables": tables,
            "channel_depth": max(depth, NpuConfig.channel_depth),
        }
    derived: dict[str, Any] = {k: v for k, v in widest.items() if k not in given}
    npu = build(node, NpuConfig, **derived) if node else NpuConfig(**derived)
    if "accumulator_bits" in given:
        return npu
    worst = worst_accumulator_bits(shape_only(graph, quantisation, npu.scale_bits))
    wide = min(max(npu.accumulator_bits, worst), RANGES["accumulator_bits"][1])
    return dataclasses.replace(npu, accumulator_bits=wide)


def npu_text(npu: NpuConfig) -> str:
    """Return the block ``npu`` of a design file: one parameter a line, as a person edits them."""
    return "npu:\n" + "".join(f"  {k}: {_scalar(v)}\n" for k, v in npu.to_dict().items())


def _scalar(value: int | str) -> str:
    """Return an NPU parameter as YAML; N:M is quoted, as YAML would read a base-60 number."""
    return f'"{value}"' if ":" in str(value) else str(value)
