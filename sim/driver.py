"""Host driver for the NPU: loads a network and runs images through it, on any board.

In a build folder it is driver/npu.py, beside layout.py, folder.py and files/; it needs numpy. It
knows no board: pass it a ``Bus`` (32-bit register access, such as a memory map) and a ``Stream``
(packets to and from the AXI4-Stream ports, such as a DMA engine)::

    npu = Npu("build/digits", bus, stream)
    npu.load()
    prediction = npu.predict(values)  # as the data set had them: pixels, real numbers, ...
    print(prediction.names)
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .folder import Loadable, Words, read_loadable
from .layout import (
    LayoutError,
    check,
    image_shape,
    packets,
    quantise,
    real,
    split,
    to_images,
    unpack_logits,
)

START, SOFT_RESET = 1, 2
"""Masks of bits of the CONTROL register."""
PAGE_BYTES = 4096
"""Alignment of weights in memory in bytes: bursts must not cross a page of that size."""
ADDRESSES = 1 << 32
"""Size in bytes of the address space of the NPU's memory port."""
CLIPPED_FRACTION = 0.01
"""Fraction of values outside the input range above which ``predict`` warns."""
MAX_IMAGES = 0xFFFF
"""Most images of one run: the largest value of the 16-bit register IMAGES."""
STATUS_BUSY, STATUS_ERROR = 1, 4
"""Masks of bits of the STATUS register."""


class NpuError(RuntimeError):
    """The NPU does not belong to the build folder, stopped with an error, or gave no answer.

    Also where memory has no place for the network's weights (``Npu.load``).
    """


class Bus(Protocol):
    """Access to the NPU's AXI4-Lite port; ``address`` in bytes from its base, a multiple of 4."""

    def read(self, address: int) -> int:
        """Read the 32-bit word at ``address``, as an unsigned number."""

    def write(self, address: int, value: int) -> None:
        """Write ``value``, 0..2**32 - 1, as the 32-bit word at ``address``."""


class Stream(Protocol):
    """Access to the NPU's AXI4-Stream ports, packet by packet."""

    def send(self, beats: Words) -> None:
        """Start sending a packet, uint32 (n,), with TLAST on the last beat; need not wait."""

    def receive(self, beats: int, timeout_s: float) -> Words:
        """Return the next packet, uint32 (beats,), waiting for it.

        beats: length that the caller expects. Raises TimeoutError if the packet is not there after
        ``timeout_s`` seconds.
        """


class Prediction(tuple[NDArray[np.int64], NDArray[np.int32]]):
    """Classes and logits of images: ``classes, logits = prediction``. Made by ``Npu.predict``.

    An imported network of several outputs has no classes: ``classes`` and ``names`` are empty.
    """

    names: list[str]
    """Name of the class of each image, in the order of ``classes``."""
    outputs: dict[str, NDArray[np.float64]]
    """Each output of the network by its name, as real values (n, ...)."""

    @classmethod
    def of(
        cls, output: Mapping[str, Any], logits: NDArray[np.int32], class_names: Sequence[str]
    ) -> Prediction:
        """Return the prediction from logits (n, classes): the class of the largest logit.

        The first of equal logits wins. output: layout of the logits, whose ``scale`` may differ
        between channels, as an ``offset`` may. class_names: one for each class number.
        """
        values = real(output, logits)
        several = not isinstance(output["scale"], (int, float)) or "offset" in output
        classes = np.argmax(values if several else logits, axis=1)
        if "parts" in output:  # values of different outputs are not to be compared
            classes = classes[:0]
        made = cls((classes, logits))
        made.names = [class_names[index] for index in classes]
        made.outputs = split(output, values)
        return made

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class numbers, int64 (n,), or (0,) of a network of several outputs."""
        return self[0]

    @property
    def logits(self) -> NDArray[np.int32]:
        """Logits as integers, int32 (n, classes)."""
        return self[1]


class Npu:
    """NPU hardware that runs the network of one build folder.

    ``load`` comes before the first image, and again after NpuError: what the NPU still sends of the
    failed run must not be taken for the next. The NPU's interrupt is left disabled. The example
    needs the hardware; ``values`` are examples as the data set has them.

    >>> npu = Npu("build/digits", bus, stream)  # doctest: +SKIP
    >>> npu.load()  # doctest: +SKIP
    >>> npu.predict(values).names  # doctest: +SKIP
    ['7', '2']
    """

    def __init__(self, folder: str | Path, bus: Bus, stream: Stream) -> None:
        """Read the build folder ``folder`` and check that the hardware was generated for it.

        bus, stream: access to the hardware; nothing is written to it before ``load``. Raises
        NpuError if its identity registers differ, FolderError for a broken build folder.
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

    def load(self, place: Callable[[Words], int] | None = None, timeout_s: float = 1.0) -> None:
        """Write program, weights and channel table to the NPU, after power-up or for a new network.

        place: needed by networks that use external memory for weights or feature maps, not called
        for others; it must write the given uint32 words (weights, then zeros as room for feature
        maps) to memory that the NPU's AXI4 port accesses, and return their byte address, a multiple
        of 4096. A run in progress is stopped by a soft reset. Raises
        NpuError, before the NPU is touched, if ``place`` is missing, or returns an address that is
        no such multiple or leaves words beyond 32-bit addresses; also if the NPU is still busy
        ``timeout_s`` seconds after the reset.
        """
        hardware = self.network.hardware
        base = self._place(place) if len(self.network.memory) else 0
        self._write("CONTROL", SOFT_RESET)
        start = time.monotonic()
        while self._read("STATUS") & STATUS_BUSY:  # a few cycles, until its pipelines are empty
            if time.monotonic() - start > timeout_s:
                raise NpuError(f"still busy {timeout_s:g} s after a soft reset")
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
        """Put what external memory must hold there by ``place`` and return its byte address.

        Raises NpuError if ``place`` is None, or the address is unusable.
        """
        if place is None:
            raise NpuError("this network's weights stay in memory: load(place) must put them there")
        base = place(self.network.memory)
        if base % PAGE_BYTES:
            raise NpuError(f"weights must begin at a multiple of {PAGE_BYTES} bytes, not {base:#x}")
        if base + self.network.memory.nbytes > ADDRESSES:
            raise NpuError(f"weights must lie below {ADDRESSES:#x}, not at {base:#x}")
        return base

    def predict(self, values: NDArray[Any], timeout_s: float = 1.0) -> Prediction:
        """Classify examples given as the data set had them: pixels, samples or features.

        values: numbers or booleans (n, ...), with axes as in the data set or as (n, channels, rows,
        columns). They become codes by the mapping that training used; where more than
        CLIPPED_FRACTION of them lie outside its range, a UserWarning says so. Raises LayoutError
        for another shape and for values that are no finite numbers; and as ``predict_codes``.
        """
        network = self.network
        images = to_images(network.input, network.input_axes, np.asarray(values))
        codes, clipped = quantise(network.input, network.input_range, images)
        if clipped > CLIPPED_FRACTION:
            low, high = min(network.input_range["low"]), max(network.input_range["high"])
            warnings.warn(
                f"{100 * clipped:.0f} % of the values lie outside the network's input range, "
                f"{low:g}..{high:g}, and are clipped",
                stacklevel=2,
            )
        return self.predict_codes(codes, timeout_s)

    def predict_codes(self, codes: NDArray[np.uint8], timeout_s: float = 1.0) -> Prediction:
        """Classify images given as the NPU's input codes, integers (n, channels, rows, columns).

        Images are sent back to back if the NPU's memory has room for the next one. Returns the
        classes, int64 (n,), and the logits as integers, int32 (n, classes), with the classes'
        ``names``; n may be 0. Raises LayoutError, a ValueError, before anything is sent for codes
        of another shape, beyond the input's bits or no integers, and for logits of another length
        than expected; NpuError when the NPU stops with an error or the wait for an image's logits
        exceeds ``timeout_s`` seconds.
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
        return Prediction.of(self.network.output, stacked, self.network.classes)

    @property
    def classes(self) -> int:
        """Number of classes of the network."""
        return int(self.network.output["classes"])

    @property
    def cycles(self) -> int:
        """Clock cycles of the NPU's last run, summed over its images, without waits for data.

        ``predict`` makes one run of all images (up to MAX_IMAGES) if they are sent back to back,
        else one run per image.
        """
        return self._read("CYCLES")

    def _run(self, images: NDArray[np.uint8], timeout_s: float) -> list[NDArray[np.int32]]:
        """Run images with one start, sending each image while the one before it is computed.

        images: (n, channels, rows, columns), n >= 1, and 1 if the network has no stream program.
        Returns the logits of each, int32 (classes,). Raises NpuError if logits do not come in time,
        LayoutError if they have another length.
        """
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
        """Return the reason for missing logits as text: the NPU's error, or the time-out.

        timeout_s: seconds that were waited.
        """
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
