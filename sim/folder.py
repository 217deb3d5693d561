"""Reader of a build folder: program.json, memory images and test vectors.

The simulation bench and the host driver (as driver/folder.py) both use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import arrays, program_json, reading

PROGRAM_FORMAT = 5
"""Value of ``format`` in the program.json files that this reader understands."""
PROGRAM_FILES = {
    "normal": "program.hex",
    "traced": "program_traced.hex",
    "stream": "program_stream.hex",
}
"""Program name -> file in the build folder. ``stream``, for images back to back, exists only if
activation memory has room for the next image."""
MEMORY_FILE = "mem/memory.bin"
"""File of external memory, little-endian 32-bit words; exists if the program uses that memory."""
PORTS = ("aclk", "aresetn", "irq", "s_axi_control_*", "s_axis_*", "m_axis_*", "m_axi_*")
"""Names of the top module's ports (``*`` as wildcard), the only signals that the bench touches."""

Words = NDArray[np.uint32]
"""32-bit words, as buses and streams carry them."""


class FolderError(ValueError):
    """A build folder, or what is asked of it, is unusable; the message says why."""


def _told() -> AbstractContextManager[None]:
    return reading.told_as(FolderError)


@dataclass(frozen=True)
class StoredProgram:
    """Program of a build folder, with its expected cycle counts. Made by ``read_loadable``."""

    name: str
    """``normal``, ``traced`` (a STORE after each layer) or ``stream`` (images back to back)."""
    words: tuple[int, ...]
    """32-bit bus words, the low half of each program word first."""
    instructions: tuple[dict[str, Any], ...]
    """Instructions in order. Their keys include index (from 0 on), opcode (its name), name, tensor,
    word (its address in program memory, in program words), cycles, wait_cycles (expected stalls at
    memory) and log (expected CYCLES at its end)."""
    cycles: int
    """Expected value of CYCLES after a run of one image."""
    interval_cycles: int | None
    """Cycles that each further image adds to a run of ``stream``; None for other programs."""

    @property
    def wait_cycles(self) -> int:
        """Expected value of STALLS after a run of one image if no stream is ever late."""
        return sum(entry["wait_cycles"] for entry in self.instructions)

    def tensors(self, opcode: str) -> list[str]:
        """Return the tensor's name of each instruction with that opcode, in program order."""
        return [entry["tensor"] for entry in self.instructions if entry["opcode"] == opcode]

    def entry(self, opcode: str) -> dict[str, Any]:
        """Return the first instruction with that opcode, by its keys.

        Raises StopIteration if there is none.
        """
        return next(entry for entry in self.instructions if entry["opcode"] == opcode)


@dataclass(frozen=True)
class Loadable:
    """Content of a build folder that is needed to run the NPU. Made by ``read_loadable``."""

    path: Path
    """Path of the build folder."""
    input: dict[str, Any]
    """Layout of the input tensor (see layout.py)."""
    output: dict[str, Any]
    """Layout of the logits."""
    tensors: dict[str, dict[str, Any]]
    """Layouts by name of all tensors in activation memory; that of the logits is ``output``."""
    programs: dict[str, StoredProgram]
    """Programs by name; ``normal`` is always there."""
    hardware: dict[str, Any]
    """Register map, memories and instruction fields of this NPU."""
    weights: Words
    """Weight memory image, shape (n_words, bus words per weight word), from word 0 on; 0 words if
    the NPU fetches its weights."""
    channels: Words
    """Channel table: biases, multipliers and shifts, or thresholds, (n_words, columns)."""
    memory: Words
    """Content of external memory, shape (n_words,): weights that FETCH reads, then zeros as room
    for feature maps; empty if all is on chip."""
    memory_latency_cycles: int
    """Memory latency in clock cycles for which the expected waits were computed."""
    classes: tuple[str, ...]
    """A name for each class; its number where the folder does not have names."""
    input_range: dict[str, list[float]]
    """``low`` and ``high``: values that become input level 0 and 255, one for all channels or one
    for each; 8-bit pixels where the folder does not say."""
    input_axes: str
    """Order of the axes of the data set's examples (a key of layout.AXES), or ``auto``."""


@dataclass(frozen=True)
class BuildFolder(Loadable):
    """Content of a build folder with its test vectors. Made by ``read``."""

    inputs: NDArray[np.uint8]
    """Input codes, shape (n_images, channels, rows, columns)."""
    expected: dict[str, NDArray[Any]]
    """Expected values by tensor name: codes (n_images, channels, rows, columns), logits int32
    (n_images, classes)."""

    @property
    def top(self) -> str:
        """Name of the top Verilog module; ``npu`` where the folder does not say."""
        return str(self.hardware.get("top", "npu"))

    def verilog(self) -> dict[str, str]:
        """Return the Verilog files rtl/*.v as file name -> text, sorted by name.

        Raises FolderError if there is none, OSError or UnicodeDecodeError if one cannot be read.
        """
        files = sorted((self.path / "rtl").glob("*.v"))
        if not files:
            raise FolderError(f"{self.path / 'rtl'} holds no Verilog")
        with _told():
            return {file.name: reading.read_text(file) for file in files}


def read(path: Path) -> BuildFolder:
    """Read the build folder ``path`` with its test vectors.

    Raises FolderError naming the missing or broken file, or if program.json has another
    PROGRAM_FORMAT.
    """
    loadable = read_loadable(path)
    vectors = path / "vectors"
    with _told():
        inputs, expected = (arrays.read_npz(vectors / f"{n}.npz") for n in ("inputs", "expected"))
    if "codes" not in inputs or not inputs["codes"].size:
        raise FolderError(f"{vectors / 'inputs.npz'}: holds no images in an array named codes")
    _check_vectors(vectors, loadable, inputs["codes"], expected)
    return BuildFolder(**vars(loadable), inputs=inputs["codes"], expected=expected)


def _check_vectors(
    vectors: Path, loadable: Loadable, codes: NDArray[Any], expected: dict[str, NDArray[Any]]
) -> None:
    """Raise FolderError unless there are images, and of each what the programs give."""
    window = loadable.input["window"] or loadable.input
    _check_array(vectors / "inputs.npz", "codes", codes, np.uint8, (len(codes), *window["shape"]))
    file, count = vectors / "expected.npz", len(codes)
    for entry in (
        entry for program in loadable.programs.values() for entry in program.instructions
    ):
        if entry["opcode"] == "EMIT":
            shape: tuple[int, ...] = (count, loadable.output["classes"])
            _check_array(file, entry["tensor"], expected.get(entry["tensor"]), np.int32, shape)
        elif entry["opcode"] == "STORE":
            layout = loadable.tensors.get(entry["tensor"])
            if layout is None:
                raise FolderError(
                    f"{vectors.parent / 'program.json'}: a STORE of an unknown tensor"
                )
            name = layout.get("whole", entry["tensor"])
            array = expected.get(name)
            if array is not None and array.ndim == 4 and "rows" in layout:
                array = array[:, :, slice(*layout["rows"])]
            _check_array(file, name, array, np.uint8, (count, *layout["shape"]))


def _check_array(
    file: Path, name: str, array: NDArray[Any] | None, dtype: type, shape: tuple[int, ...]
) -> None:
    """Raise FolderError unless an array is there, of that type and shape, and not empty."""
    where = f"{file}: {reading.printable(name)}"
    if array is None:
        raise FolderError(f"{where} is missing")
    if array.shape != shape or array.dtype != dtype or not array.size:
        raise FolderError(
            f"{where} must be {np.dtype(dtype)} of {shape}, not {array.dtype} of {array.shape}"
        )


def read_program(path: Path) -> dict[str, Any]:
    """Return the program.json of the build folder ``path``, checked, with its keys.

    Raises FolderError if it is missing or broken, or has another PROGRAM_FORMAT.
    """
    program = _json(path / "program.json")
    if program.get("format") != PROGRAM_FORMAT:
        raise FolderError(
            f"{path / 'program.json'}: format must be {PROGRAM_FORMAT}, "
            f"not {program.get('format')!r}; build the folder again"
        )
    with _told():
        program_json.check(program, str(path / "program.json"))
    return program


def read_loadable(path: Path) -> Loadable:
    """Read the build folder ``path`` without its test vectors.

    Raises FolderError naming the missing or broken file; as ``read_program`` for program.json.
    """
    program = read_program(path)
    hardware = program["hardware"]
    images = {
        name: read_hex(path / "mem" / f"{name}.hex", hardware[name])
        for name in ("weights", "channels")
    }
    return Loadable(
        path=path,
        input=program["tensors"][program["input"]],
        output=program["output"],
        tensors=program["tensors"],
        programs={
            name: _program(name, program["programs"][name], path / file, hardware["program"])
            for name, file in PROGRAM_FILES.items()
            if name in program["programs"]
        },
        hardware=hardware,
        **images,
        memory=_memory(path, program["memory"]["words"]),
        memory_latency_cycles=program["memory"]["latency_cycles"],
        classes=tuple(program.get("classes") or map(str, range(program["output"]["classes"]))),
        input_range=program.get("input_range") or {"low": [0.0], "high": [255.0]},
        input_axes=program.get("input_axes", "auto"),
    )


def _program(name: str, body: dict[str, Any], file: Path, window: dict[str, int]) -> StoredProgram:
    words = read_hex(file, window)
    if len(words) != body["words"]:
        raise FolderError(f"{file} holds {len(words)} words, program.json says {body['words']}")
    return StoredProgram(
        name,
        tuple(words.reshape(-1).tolist()),
        tuple(body["instructions"]),
        body["cycles"],
        body["interval_cycles"],
    )


def _memory(folder: Path, words: int) -> Words:
    if not words:
        return np.zeros(0, np.uint32)
    path = folder / MEMORY_FILE
    with _told():
        data = reading.read_bytes(path, 4 * words)
    if len(data) != 4 * words:
        raise FolderError(f"{path} holds {len(data) / 4:g} words, program.json says {words}")
    return np.frombuffer(data, "<u4")


def read_hex(path: Path, window: Mapping[str, int]) -> Words:
    """Read a memory image, uint32 (n_words, columns).

    window: ``words`` of the memory and their ``columns``. The file has up to one line a word, with
    ``columns`` hexadecimal 32-bit numbers, the low one first; an empty one gives 0 words. Raises
    FolderError, naming the file, if it cannot be read or is of another form.
    """
    columns = window["columns"]
    with _told():
        lines = reading.read_text(path, window["words"] * (9 * columns + 1) + 1).splitlines()
    try:
        rows = [[int(column, 16) for column in line.split()] for line in lines]
        if any(len(row) != columns for row in rows):
            raise ValueError(f"every line must hold {columns} numbers")
        if len(rows) > window["words"]:
            raise ValueError(f"holds {len(rows)} words, the memory {window['words']}")
        return np.array(rows, np.uint32).reshape(len(rows), columns)
    except (ValueError, OverflowError) as error:
        raise FolderError(f"{path}: {reading.printable(error)}") from None


def format_hex(image: Words) -> str:
    """Return a memory image, uint32 (n_words, columns), as the text that ``read_hex`` reads."""
    return "".join(" ".join(f"{value:08x}" for value in row) + "\n" for row in image.tolist())


def _json(path: Path) -> dict[str, Any]:
    with _told():
        content = reading.read_json(path)
    if not isinstance(content, dict):
        raise FolderError(f"{path}: must hold a JSON object")
    return content
