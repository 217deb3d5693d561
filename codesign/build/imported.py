"""Designs of imported networks: the integers of others' files on an NPU, with nothing to train.

Such a design has no graph and no bit widths to choose: its network is that of a network folder
(models.importing.folder), and in a build folder that of ``network.npz``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign import design as designs
from codesign.build import npu_file
from codesign.compiler import accumulator_bits, minimal_depths, table_count
from codesign.design import Design
from codesign.results import UserError
from models.arithmetic import MOST_THRESHOLD_BITS
from models.data.values import InputRange
from models.files import yaml_io
from models.files.nodes import build
from models.importing import folder
from models.importing.ends import InputEnd
from models.importing.folder import NetworkFolder
from models.importing.imports import Source
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES, RANGES, ConfigError

PIXEL_VALUES = "pixels"
"""Key of the values of the file's input that pixels 0 and 255 are."""


@dataclass(frozen=True)
class ImportedDesign:
    """An imported network's source, input and NPU: ``design.yaml`` of its build folder.

    Made by ``of``, ``on`` and ``load``. Raises UserError for a bad name.
    """

    name: str
    source: Source
    """The file that the network was imported from."""
    input: InputRange
    """The values of the file's input that become input level 0 and 255."""
    npu: NpuConfig
    pixels: InputRange | None = None
    """The values of the file's input that pixels 0 and 255 of pictures are; None: not said."""
    clock_mhz: float = npu_file.CLOCK_MHZ
    seed: int = 0
    """Seed of random vectors, >= 0."""

    def __post_init__(self) -> None:
        designs.check_name(self.name)

    def to_yaml(self) -> str:
        """Return the text of ``design.yaml``, which ``load`` reads back."""
        items = {
            "name": self.name,
            designs.IMPORTED: dataclasses.asdict(self.source),
            "seed": self.seed,
            "clock_mhz": self.clock_mhz,
            "input": designs.input_items(self.input),
        }
        if self.pixels:
            items[PIXEL_VALUES] = designs.input_items(self.pixels)
        return yaml_io.dump(items) + designs.npu_text(self.npu)


def load(path: Path) -> Design | ImportedDesign:
    """Read ``design.yaml`` of a build folder, of either kind. Raises YamlError."""
    node = yaml_io.load(path)
    if designs.IMPORTED not in node.mapping():
        return designs.load(path)
    needed = ("name", designs.IMPORTED, "seed", "clock_mhz", "input", "npu")
    nodes = node.fields((*needed, PIXEL_VALUES), needed)
    return ImportedDesign(
        nodes["name"].string(),
        build(nodes[designs.IMPORTED], Source),
        designs.read_input(nodes["input"]),
        build(nodes["npu"], NpuConfig),
        designs.read_input(nodes[PIXEL_VALUES]) if PIXEL_VALUES in nodes else None,
        npu_file.clock(nodes["clock_mhz"]),
        nodes["seed"].integer(0),
    )


def is_network(path: Path) -> bool:
    """Return True if ``path`` is a folder, and not that of a build: where networks lie."""
    return path.is_dir() and (path / folder.NETWORK).exists()


def network_of(path: Path) -> tuple[NetworkFolder, IntegerNetwork]:
    """Read a network folder with an integer network. Raises UserError for a float one, FileError.

    ModelError for damaged files.
    """
    found = folder.load(path)
    if found.integer is None:
        raise UserError(
            f"{path} holds a float network, which has no bit widths yet; codesign train, or "
            "codesign build with --dataset, gives it some"
        )
    return found, found.integer


def input_range(end: InputEnd) -> InputRange:
    """Return the values of a file's input that become the lowest and the highest code.

    Of one channel each, or of all if they are the same. Raises UserError for an input whose codes
    fall as values rise, and for one whose axes are neither (channels, rows, columns) nor (rows,
    columns, channels), such as a flat one in another order.
    """
    assert end.grid is not None
    check_input(end)
    grid, top = end.grid, (1 << end.grid.bits) - 1
    ends = [
        tuple(
            ((code - grid.zero_point) * grid.scale - offset) / gain
            for gain, offset in zip(end.gain, end.offset, strict=True)
        )
        for code in (0, top)
    ]
    if all(len(set(one)) == 1 for one in ends):
        ends = [one[:1] for one in ends]
    return InputRange(*ends)


def inside(end: InputEnd, values: InputRange) -> InputRange:
    """Return the values of the network's input at ``values`` of the file's."""
    ends = [np.array(end.gain) * one + np.array(end.offset) for one in (values.low, values.high)]
    return InputRange(*(tuple(one.tolist()) for one in ends))


def outside(end: InputEnd, values: InputRange) -> InputRange:
    """Return the values of the file's input at ``values`` of the network's."""
    ends = [(np.array(one) - end.offset) / np.array(end.gain) for one in (values.low, values.high)]
    return InputRange(*(tuple(one.tolist()) for one in ends))


def check_input(end: InputEnd) -> None:
    """Raise UserError for an input as ``input_range`` does."""
    channels, rows, columns = end.shape
    last = np.arange(np.prod(end.shape)).reshape(rows, columns, channels).transpose(2, 0, 1)
    if end.order is not None and not np.array_equal(end.order, last.ravel()):
        raise UserError(f"input {end.name}: its values lie in an order that no data set has")
    if min(end.gain) <= 0:
        raise UserError(f"input {end.name}: its codes fall as values rise; negate it in the file")


def of(path: Path, npu: Path) -> tuple[ImportedDesign, IntegerNetwork]:
    """Return the design of a network folder on the NPU of a file, and its network.

    npu: a file as of ``npu_file``. Parameters
    that it does not say are what the network needs (widths, memory depths), or NpuConfig's
    defaults. Raises YamlError, UserError, FileError, ModelError; InfeasibleError if no memory depth
    would make the NPU run the network.
    """
    found, network = network_of(path)
    file = npu_file.load(npu)
    if file.quantisation:
        raise file.quantisation.error("is for float networks: this one has the bits of its file")
    given = file.npu.mapping()
    config = build(file.npu, NpuConfig, **{
        name: value for name, value in widths(network).items() if name not in given
    })  # fmt: skip
    if "wide_input_passes" not in given:
        try:
            config = taking_input(config, network)
        except ConfigError as error:
            raise file.npu.error(str(error)) from None
    return on(found, fitted(config, network, tuple(given)), file.clock_mhz), network


def on(
    found: NetworkFolder, npu: NpuConfig, clock_mhz: float = npu_file.CLOCK_MHZ
) -> ImportedDesign:
    """Return the design of an integer network folder on an NPU. Raises UserError."""
    values = input_range(found.input)
    return ImportedDesign(found.name, found.source, values, npu, found.pixels, clock_mhz)


def widths(network: IntegerNetwork) -> dict[str, Any]:
    """Return the widths of activations, accumulators and scales that a network needs.

    Beside them, where it has activation functions, the tables that hold them and the depth of the
    channel table that these need; where it has thresholds of its own, post units that compare with
    them, and activations that may be narrower than the input (``taking_input``). Raises UserError
    for thresholds beside wider codes than such post units have.
    """
    codes = {name: spec.bits for name, spec in network.tensors.items()}
    del codes[network.layers[-1].output]
    compares = [layer.name for layer in network.mac_layers if layer.thresholds is not None]
    if compares:
        del codes[network.input]
        _check_comparing(codes, compares[0])
    activations = max(codes.values())
    looked_up = [layer.lookup.bits for layer in network.mac_layers if layer.lookup]
    activations = max(activations, *looked_up, 1)
    found: dict[str, Any] = {
        "activation_bits": activations,
        "accumulator_bits": max(accumulator_bits(network), RANGES["accumulator_bits"][0]),
        "scale_bits": network.scale_bits,
    }
    if compares:
        found["requantisation"] = "thresholds"
    tables = table_count(network)
    if tables:
        found["activation_tables"] = tables
        found["channel_depth"] = max(tables << activations, DEPTH_RANGES["channel_depth"][0])
    return found


def _check_comparing(codes: Mapping[str, int], layer: str) -> None:
    """Raise UserError unless an NPU with thresholds can have all codes (bits by tensor).

    layer: one with thresholds of its own.
    """
    for name, bits in codes.items():
        if bits > MOST_THRESHOLD_BITS:
            raise UserError(
                f"layer {layer} has thresholds at unequal distances, and post units that compare "
                f"with them give codes of up to {MOST_THRESHOLD_BITS} bits; tensor {name} has "
                f"{bits}: round it to fewer in the file, or give the thresholds equal distances"
            )


def taking_input(npu: NpuConfig, network: IntegerNetwork) -> NpuConfig:
    """Return an NPU that compares with thresholds as one that takes the network's input.

    A wider input than its codes takes several passes. Raises ConfigError where it cannot.
    """
    if not npu.has_thresholds or network.tensors[network.input].bits <= npu.activation_bits:
        return npu
    passes = max(npu.passes(reader.weight_bits) for reader in network.input_readers)
    return dataclasses.replace(npu, wide_input_passes=passes)


def fitted(npu: NpuConfig, network: IntegerNetwork, said: tuple[str, ...] = ()) -> NpuConfig:
    """Return an NPU with the accumulators and memory depths of a network, ``said`` ones kept.

    said: names of parameters. Raises InfeasibleError as minimal_depths does.
    """
    if "accumulator_bits" not in said:
        need = max(accumulator_bits(network, npu), npu.accumulator_bits)
        npu = dataclasses.replace(npu, accumulator_bits=need)
    if all(name in said for name in DEPTH_RANGES):
        return npu
    depths: dict[str, Any] = minimal_depths(network, npu)
    return dataclasses.replace(npu, **{k: v for k, v in depths.items() if k not in said})
