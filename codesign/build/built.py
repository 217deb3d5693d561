"""The network of a build folder, with what is needed to run it on data of any origin."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build import build_folder, imported, manifest, npu_file
from codesign.design import DatasetSpec, Design
from codesign.results import UserError
from models.data.targets import CLASSES
from models.data.values import PIXELS, InputRange, are_pixels
from models.files.reading import quoted
from models.importing.ends import array_notes, pixel_notes
from models.importing.folder import NetworkFolder
from models.integer import files, reference
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.package import hardware
from sim.folder import FolderError, read_loadable, read_program

MOST_NAMES = 12
"""Most class names that a message lists."""


@dataclass(frozen=True, eq=False)
class BuiltNetwork:
    """Integer network of a build or network folder, and its class names. Made by ``load``."""

    network: IntegerNetwork
    classes: tuple[str, ...]
    """Names by class number."""
    input_range: InputRange
    """The values that become input level 0 and 255, as training had them."""
    design: Design | None
    """Whose network it is; None of an imported network."""
    clock_mhz: float
    pixels: InputRange | None = None
    """The values of an imported file's input, or the numbers of a design's data, that pixels 0 and
    255 of pictures are; None: not said, so that they are 0 and 255."""

    def mapping(self, values: NDArray[Any], pictures: bool) -> tuple[InputRange, list[str]]:
        """Return the numbers of given data that become input level 0 and 255, and notes.

        values: of the data. pictures: True for data of 8-bit pixels, False for other numbers.
        """
        if self.design:
            scaled = pictures and self.pixels
            return self.input_range.in_pixels(scaled) if scaled else self.input_range, []
        if not pictures:
            return self.input_range, array_notes(self.pixels, are_pixels(values))
        return self.input_range.in_pixels(self.pixels or PIXELS), pixel_notes(self.pixels)

    @property
    def dataset(self) -> DatasetSpec | None:
        """The data set that it was trained on; None of an imported network."""
        return self.design.dataset if self.design else None

    @property
    def task(self) -> str:
        """Task of the outputs; classes for an imported network, of which nobody has said it."""
        return self.design.dataset.task if self.design else CLASSES

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an input, (channels, rows, columns)."""
        return self.network.tensors[self.network.input].shape

    def logits(self, levels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the logits int64 (n, classes), which are accumulators, of input levels.

        levels: uint8 (n, channels, rows, columns).
        """
        return reference.predict(self.network, levels)

    def scores(self, logits: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the softmax (n, classes) of ``logits``, which are scaled to real values first."""
        real = self.network.real(logits)
        real -= real.max(axis=1, keepdims=True)
        powers = np.exp(real)
        shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def check_classes(self) -> None:
        """Raise UserError where the outputs are several, a map or numbers: no classes."""
        if self.task != CLASSES:
            raise UserError(
                f"network {self.network.name} is for {self.task}: its outputs are no classes of "
                "the whole input"
            )
        parts = self.network.parts
        if len(parts) > 1:
            raise UserError(
                f"network {self.network.name} has several outputs "
                f"({', '.join(quoted(part.name) for part in parts)}), and a data set has one class "
                "for each image: say which one that is (codesign evaluate --output NAME)"
            )
        shape = parts[0].shape if parts else self.network.output.shape
        if sum(side > 1 for side in shape) > 1:
            raise UserError(
                f"network {self.network.name}: its output is a map of "
                f"{' x '.join(map(str, shape))}, not one value for each class of an image; "
                "codesign evaluate --task pixels (or numbers, reconstruction), build (without "
                "--dataset), verify and export take the network"
            )

    def chosen(self, output: str | None) -> BuiltNetwork:
        """Return the network with one of several outputs alone, its classes numbered.

        output: its name; None: the network as it is. Raises ModelError for another name.
        """
        if output is None:
            return self
        network = self.network.only(output)
        return dataclasses.replace(self, network=network, classes=numbered(network))

    def named(self) -> str:
        """Return the class names for a message, the first of many and the number of the rest."""
        more = len(self.classes) - MOST_NAMES
        shown = ", ".join(self.classes[:MOST_NAMES])
        return f"{shown} and {more} more" if more > 0 else shown


def load(folder: Path) -> BuiltNetwork:
    """Read the network of a build folder, or of a network folder that ``codesign import`` wrote.

    Raises UserError for any other folder, for a float network, for a build of a version that did
    not store the network, and for damaged program files; ModelError for a damaged network,
    YamlError for design.yaml.
    """
    if imported.is_network(folder):
        return of_network(*imported.network_of(folder))
    if not manifest.is_build(folder):
        raise UserError(f"{folder} is not a build folder; codesign build writes one")
    path = folder / build_folder.NETWORK
    if not path.exists():
        raise UserError(
            f"{folder} has no {build_folder.NETWORK}: it was built by an older version; build it "
            "again with codesign build"
        )
    network = files.load(path)
    design = imported.load(folder / "design.yaml")
    check_memories(folder, design.npu)
    try:
        stored = read_loadable(folder)
    except FolderError as error:
        raise UserError(str(error)) from None
    if len(stored.classes) != network.classes:
        raise UserError(
            f"{folder}: program.json names {len(stored.classes)} classes, the network has "
            f"{network.classes}; build it again"
        )
    own = design if isinstance(design, Design) else None
    mapping = design.input or PIXELS
    return BuiltNetwork(network, stored.classes, mapping, own, design.clock_mhz, design.pixels)


def of_network(found: NetworkFolder, network: IntegerNetwork) -> BuiltNetwork:
    """Return the network of a network folder, its classes numbered.

    Raises UserError for an input whose values lie in an order of their own.
    """
    classes = numbered(network)
    mapping = imported.input_range(found.input)
    return BuiltNetwork(network, classes, mapping, None, npu_file.CLOCK_MHZ, found.pixels)


def numbered(network: IntegerNetwork) -> tuple[str, ...]:
    """Return names for a network's classes: their numbers."""
    return tuple(map(str, range(network.classes)))


def check_memories(folder: Path, npu: NpuConfig) -> None:
    """Raise UserError unless program.json has the memories of the build folder's NPU.

    Their sizes bound the memory images, whose loading takes simulated time.
    """
    path = folder / "program.json"
    try:
        program, true = read_program(folder), hardware.describe(npu)
    except FolderError as error:
        raise UserError(str(error)) from None
    for name in ("program", "weights", "channels", "memory"):
        said = program["hardware"][name]
        if said != true[name]:
            raise UserError(
                f"{path}: hardware.{name}: must be {true[name]}, as npu in design.yaml says, "
                f"not {quoted(said)}; build the folder again"
            )
    if program["memory"]["words"] and not npu.memory_port_bits:
        raise UserError(f"{path}: memory.words: must be 0, as the NPU has no memory port")
