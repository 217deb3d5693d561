"""Recomputes the figures of a trained design from its design file and its integers alone."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

from benchmarks.headline.index import Value
from benchmarks.headline.stored import Stored
from codesign.build import build_folder, pipeline, verification
from codesign.build.verification import Verification
from codesign.compiler import compile_network
from codesign.fpga import devices, nextpnr, placement
from codesign.fpga.synthesis import Synthesis, synthesise
from codesign.results import UserError
from codesign.tools.processes import ToolError
from models.data import datasets
from models.data.datasets import Split
from models.data.raw import TEST, Part
from models.data.values import PIXELS
from models.errors import DatasetError
from models.integer import reference
from models.integer.network import IntegerNetwork
from rtl_gen import emit

IMAGES = 20
"""Test images that are simulated, evenly spread over the test part."""


@dataclass(frozen=True)
class Figures:
    """Recomputed figures of a design. Made by ``Measurement.result``."""

    values: Mapping[str, Value]
    """By name, of ``index.FIGURES``; without ``fmax_mhz`` where nothing was placed."""
    failures: tuple[str, ...]
    """What the simulation found wrong; empty if every compared value is exact."""
    notes: tuple[str, ...]
    """Sentences on what was not recomputed, and on the tools."""


def read_test(data: Path) -> Part:
    """Return the test part of CIFAR-10, all images of it. Raises DatasetError for other data.

    data: zip or folder.
    """
    if not data.exists():
        raise DatasetError(f"{data}: no such zip or folder; it must hold CIFAR-10 (docs/data.md)")
    raw = datasets.read_raw("cifar10", data)
    if TEST not in raw.parts:
        raise DatasetError(f"{data}: has no test part (test/<class>/*)")
    return raw.parts[TEST]


class Measurement:
    """Figures of one design on their way: its parts run in the threads of a pool."""

    def __init__(
        self, stored: Stored, test: Part, pool: Executor, folder: Path, *, clock: bool
    ) -> None:
        """Build the design in ``folder`` (a new one) and start everything that is measured.

        test: of ``read_test``. clock: also place and route, which takes longer than the rest.
        Raises InfeasibleError if the network does not fit the NPU, UserError.
        """
        design, network = stored.design, stored.network
        if test.values.shape[1:] != network.tensors[network.input].shape:
            raise UserError(f"{design.name}: the network takes other images than the data has")
        split = Split((design.input or PIXELS).levels(test.values), test.labels)
        vectors = pipeline.vectors(network, split.spread(IMAGES), IMAGES)
        build_folder.build(design, compile_network(network, design.npu), vectors, folder)
        verilog = emit.verilog(design.npu)
        dsps = design.npu.uses_dsps
        self._stored = stored
        self._synthesis: Future[Synthesis] = pool.submit(synthesise, verilog, dsps=dsps)
        self._simulation: Future[Verification] = pool.submit(
            verification.verify, folder, images=IMAGES, clock_mhz=design.clock_mhz
        )
        self._accuracy: Future[float] = pool.submit(_accuracy, network, split)
        self._placed = pool.submit(_fmax_mhz, verilog, dsps) if clock else None

    def result(self) -> Figures:
        """Wait for the figures. Raises ToolError and SimulationError where a tool failed."""
        mapped, simulated = self._synthesis.result(), self._simulation.result()
        cycles = simulated.figures.interval_cycles or simulated.figures.cycles_per_image or 0
        rate = self._stored.design.clock_mhz * 1e6 / cycles if cycles else 0.0
        values: dict[str, Value] = {
            "luts": int(mapped.figures.luts or 0),
            "brams": float(mapped.figures.brams or 0),
            "dsps": int(mapped.figures.dsps or 0),
            "cycles_per_image": int(cycles),
            "images_per_second": round(rate, 2),
            "test_accuracy": self._accuracy.result(),
            "network_sha256": self._stored.sha256,
        }
        notes = [f"{mapped.tool_version}, {simulated.simulator['name']}"]
        if self._placed is None:
            notes.append("fmax_mhz: not placed")
        else:
            values["fmax_mhz"], said = self._placed.result()
            notes += said
        failures = () if simulated.passed else (str(simulated.failure),)
        return Figures(values, failures, tuple(notes))


def _accuracy(network: IntegerNetwork, split: Split) -> float:
    return round(reference.accuracy(network, split.images, split.labels), 6)


def _fmax_mhz(verilog: Mapping[str, str], dsps: bool) -> tuple[float | None, list[str]]:
    """Return the highest clock, None if the NPU does not fit the part, and notes."""
    device = devices.get(placement.DEVICE)
    try:
        placed = placement.place_and_route(verilog, device, dsps=dsps)
    except ToolError as error:
        return None, [f"fmax_mhz: {device.name}: {error}"]
    return round(placed.fmax_mhz, 2), [placed.tool_version]


def can_place() -> bool:
    """Return True if there is a nextpnr."""
    try:
        nextpnr.find()
    except UserError:
        return False
    return True
