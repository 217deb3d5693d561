"""Host driver for the NPU: loads a network and runs images through it, on any board.

In a build folder it is driver/npu.py, beside layout.py, folder.py and files/; it needs numpy. It
knows no board: pass it a ``Bus`` (32-bit register access, such as a memory map) and a ``Stream``
(packets to and from the AXI4-Stream ports, such as a DMA engine)::

    npu = Npu("build/digits", bus, stream)
    npu.load()
    classes, logits = npu.predict(codes)  # or npu.predict_values(values), as in the data set
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .folder import Loadable, Words, read_loadable
from .layout import LayoutError, check, image_shape, packets, quantise, unpack_logits

START, SOFT_RESET = 1, 2
"""Bits of the CONTROL register."""
PAGE_BYTES = 4096
"""Alignment of weights in memory: bursts must not cross a page."""
ADDRESSES = 1 << 32
"""Size in bytes of the address space of the NPU's memory port."""
MAX_IMAGES = 0xFFFF
"""Most images of one run: the largest value of the 16-bit register IMAGES."""
STATUS_BUSY, STATUS_ERROR = 1, 4
"""Bits of the STATUS register."""


class NpuError(RuntimeError):
    """The NPU does not belong to the build folder, stopped with an error, or gave no answer."""


class Bus(Protocol):
    """Access to the NPU's AXI4-Lite port; ``address`` in bytes from its base, a multiple of 4."""

    def read(self, address: int) -> int:
        """Read one 32-bit word."""

    def write(self, address: int, value: int) -> None:
        """Write one 32-bit word."""


class Stream(Protocol):
    """Access to the NPU's AXI4-Stream ports, packet by packet."""

    def send(self, beats: Words) -> None:
        """Start sending a packet, uint32 (n,), with TLAST on the last beat; need not wait."""

    def receive(self, beats: int, timeout_s: float) -> Words:
        """Return the next packet, uint32 (beats,). Raises TimeoutError after ``timeout_s`` s."""


class Prediction(tuple[NDArray[np.int64], NDArray[np.int32]]):
    """Classes and logits of images: ``classes, logits = prediction``. Made by ``Npu.predict``."""

    names: list[str]
    """Class name of each image."""

    @classmethod
    def of(cls, logits: NDArray[np.int32], class_names: Sequence[str]) -> Prediction:
        """Return the prediction from logits (n, classes); the first of equal logits wins."""
        classes = np.argmax(logits, axis=1)
        made = cls((classes, logits))
        made.names = [class_names[index] for index in classes]
        return made

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class numbers, int64 (n,)."""
        return self[0]

    @property
    def logits(self) -> NDArray[np.int32]:
        """Logits as integers, int32 (n, classes)."""
        return self[1]


class Npu:
    """NPU hardware that runs the network of one build folder.

    The example needs the hardware; ``codes`` are images quantised to codes, (n, channels, rows,
    columns).

    >>> npu = Npu("build/digits", bus, stream)  # doctest: +SKIP
    >>> npu.load()  # doctest: +SKIP
    >>> classes, logits = npu.predict(codes)  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path, bus: Bus, stream: Stream) -> None:
        """Read the build folder and check that the hardware was generated for it.

        Raises NpuError if its identity registers differ, FolderError for a broken build folder.
        """
        self.network: Loadable = read_loadable(Path(folder))
        self.bus = bus
        self.stream = stream
        self._registers: dict[str, int] = self.network.hardware["registers"]
        self._streams = "stream" in self.network.programs
        """True if the network has a program for images back to back, with one start per run."""
        for register, key in (
            ("ID", "id"), ("VERSION", "isa_version"), ("CONFIG_HASH", "config_hash")
        ):  # fmt: skip
            found, wanted = self._read(register), self.network.hardware[key]
            if found != wanted:
                raise NpuError(f"{register} reads {found:#x}, this build folder needs {wanted:#x}")

    def load(self, place: Callable[[Words], int] | None = None) -> None:
        """Write program, weights and channel table to the NPU, after power-up or for a new network.

        place: needed by networks whose weights stay in external memory; it must write the given
        uint32 words to memory that the NPU's AXI4 port reads, and return their byte address, a
        multiple of 4096. A run in progress is stopped by a soft reset. Raises NpuError if ``place``
        is missing, or returns an unusable address.
        """
        hardware = self.network.hardware
        base = self._place(place) if len(self.network.memory) else 0
        self._write("CONTROL", SOFT_RESET)
        while self._read("STATUS") & STATUS_BUSY:  # a few cycles, until its pipelines are empty
            pass
        program = self.network.programs["stream" if self._streams else "normal"]
        for index, word in enumerate(program.words):
            self.bus.write(hardware["program"]["base"] + 4 * index, word)
        for name, image in (("weights", self.network.weights), ("channels", self.network.channels)):
            window = hardware[name]
            for row, words in enumerate(image.tolist()):
                first = window["base"] + 4 * window["pitch"] * row
                for column, word in enumerate(words):
                    self.bus.write(first + 4 * column, word)
        if hardware["memory"]["port_bits"]:
            self._write("MEMORY_BASE", base)

    def _place(self, place: Callable[[Words], int] | None) -> int:
        """Put the weights into memory by ``place`` and return their checked byte address."""
        if place is None:
            raise NpuError("this network's weights stay in memory: load(place) must put them there")
        base = place(self.network.memory)
        if base % PAGE_BYTES:
            raise NpuError(f"weights must begin at a multiple of {PAGE_BYTES} bytes, not {base:#x}")
        if base + self.network.memory.nbytes > ADDRESSES:
            raise NpuError(f"weights must lie below {ADDRESSES:#x}, not at {base:#x}")
        return base

    def predict_values(self, values: NDArray[Any], timeout_s: float = 1.0) -> Prediction:
        """Classify images given as values of the data set, (n, channels, rows, columns).

        Values (pixels, or real numbers) become codes by the mapping that training used. Raises
        LayoutError for another shape and for values that are no finite numbers; and as ``predict``.
        """
        codes = quantise(self.network.input, self.network.input_range, np.asarray(values))
        return self.predict(codes, timeout_s)

    def predict(self, codes: NDArray[np.uint8], timeout_s: float = 1.0) -> Prediction:
        """Classify images on the NPU hardware: integer codes (n, channels, rows, columns).

        Images are sent back to back if the NPU's memory has room for the next one. Returns the
        classes, int64 (n,), and the logits as integers, int32 (n, classes), with the classes'
        ``names``. Raises LayoutError, a ValueError, before anything is sent for codes of another
        shape or beyond the input's bits; NpuError when the NPU stops with an error or does not
        answer an image within ``timeout_s`` seconds.
        """
        codes = np.asarray(codes)
        if codes.ndim != 4:
            shape = ", ".join(map(str, image_shape(self.network.input)))
            raise LayoutError(f"codes must have shape (n, {shape}), not {codes.shape}")
        check(self.network.input, codes)
        per_run = MAX_IMAGES if self._streams else 1
        logits: list[NDArray[np.int32]] = []
        for first in range(0, len(codes), per_run):
            logits += self._run(codes[first : first + per_run], timeout_s)
        stacked = np.stack(logits) if logits else np.zeros((0, self.classes), np.int32)
        return Prediction.of(stacked, self.network.classes)

    @property
    def classes(self) -> int:
        """Number of classes of the network."""
        return int(self.network.output["classes"])

    @property
    def cycles(self) -> int:
        """Clock cycles of the last run, summed over its images, without waits for data."""
        return self._read("CYCLES")

    def _run(self, images: NDArray[np.uint8], timeout_s: float) -> list[NDArray[np.int32]]:
        """Run images with one start, sending each image while the one before it is computed."""
        output, logits = self.network.output, []
        self._write("IMAGES", len(images))
        self._write("CONTROL", START)
        for index in range(len(images) + 1):
            if index < len(images):
                for beats in packets(self.network.input, images[index]):
                    self.stream.send(beats)
            if index == 0:
                continue
            try:
                beats = self.stream.receive(output["beats"], timeout_s)
            except TimeoutError:
                raise NpuError(self._why(timeout_s)) from None
            logits.append(unpack_logits(output, np.asarray(beats, np.uint32)))
        return logits

    def _why(self, timeout_s: float) -> str:
        """Return the reason for missing logits: the NPU's error, or its status."""
        status, error = self._read("STATUS"), self._read("ERROR")
        if not status & STATUS_ERROR:
            return f"no answer within {timeout_s:g} s, STATUS is {status:#x}"
        names: dict[str, int] = self.network.hardware["errors"]
        name = next((name for name, code in names.items() if code == error & 0xFF), "unknown")
        return f"stopped with error {name} at instruction {error >> 16}"

    def _read(self, register: str) -> int:
        return self.bus.read(self._registers[register])

    def _write(self, register: str, value: int) -> None:
        self.bus.write(self._registers[register], value)
