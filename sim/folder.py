"""Reader of a build folder: program.json, memory images and test vectors.

The simulation bench and the host driver (as driver/folder.py) both use it.
"""

from __future__ import annotations

import json
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROGRAM_FORMAT = 4
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


_BROKEN_NPZ = (
    OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError, MemoryError, OverflowError,
    RuntimeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Exceptions that reading a damaged .npz file can raise."""


class FolderError(ValueError):
    """A build folder, or what is asked of it, is unusable; the message says why."""


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
    """Table of biases, multipliers and shifts, shape (n_words, 2 * post_units)."""
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
        return {file.name: file.read_text() for file in files}


def read(path: Path) -> BuildFolder:
    """Read the build folder ``path`` with its test vectors.

    Raises FolderError naming the missing or broken file, or if program.json has another
    PROGRAM_FORMAT.
    """
    loadable = read_loadable(path)
    vectors = path / "vectors"
    inputs, expected = (_arrays(vectors / f"{name}.npz") for name in ("inputs", "expected"))
    if "codes" not in inputs or not inputs["codes"].size:
        raise FolderError(f"{vectors / 'inputs.npz'}: holds no images in an array named codes")
    return BuildFolder(**vars(loadable), inputs=inputs["codes"], expected=expected)


def read_loadable(path: Path) -> Loadable:
    """Read the build folder ``path`` without its test vectors.

    Raises FolderError naming the missing or broken file, or if program.json has another
    PROGRAM_FORMAT.
    """
    program = _json(path / "program.json")
    if program.get("format") != PROGRAM_FORMAT:
        raise FolderError(
            f"{path / 'program.json'}: format must be {PROGRAM_FORMAT}, "
            f"not {program.get('format')!r}; build the folder again"
        )
    try:
        return _loadable(path, program)
    except FolderError:
        raise
    except KeyError as error:
        raise FolderError(f"{path / 'program.json'}: key {error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise FolderError(f"{path / 'program.json'}: {error}") from None


def _loadable(path: Path, program: dict[str, Any]) -> Loadable:
    """Read the files that ``program``, the content of program.json, describes.

    path: the build folder. A key that is missing in ``program`` raises KeyError, a value of another
    type TypeError, ValueError or AttributeError, a missing or broken file FolderError.
    """
    hardware = program["hardware"]
    return Loadable(
        path=path,
        input=program["tensors"][program["input"]],
        output=program["output"],
        tensors=program["tensors"],
        programs={
            name: _program(
                name, program["programs"][name], path / file, hardware["program"]["columns"]
            )
            for name, file in PROGRAM_FILES.items()
            if name == "normal" or name in program["programs"]
        },
        hardware=hardware,
        weights=read_hex(path / "mem" / "weights.hex", hardware["weights"]["columns"]),
        channels=read_hex(path / "mem" / "channels.hex", hardware["channels"]["columns"]),
        memory=_memory(path, program["memory"]["words"]),
        memory_latency_cycles=program["memory"]["latency_cycles"],
        classes=tuple(program.get("classes") or map(str, range(program["output"]["classes"]))),
        input_range=program.get("input_range") or {"low": [0.0], "high": [255.0]},
        input_axes=program.get("input_axes", "auto"),
    )


def _program(name: str, body: dict[str, Any], file: Path, columns: int) -> StoredProgram:
    words = read_hex(file, columns)
    if len(words) != body["words"]:
        raise FolderError(f"{file} holds {len(words)} words, program.json says {body['words']}")
    return StoredProgram(
        name,
        tuple(words.reshape(-1).tolist()),
        tuple(body["instructions"]),
        int(body["cycles"]),
        body["interval_cycles"],
    )


def _memory(folder: Path, words: int) -> Words:
    if not words:
        return np.zeros(0, np.uint32)
    path = folder / MEMORY_FILE
    try:
        found = np.frombuffer(path.read_bytes(), "<u4")
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from None
    if len(found) != words:
        raise FolderError(f"{path} holds {len(found)} words, program.json says {words}")
    return found


def read_hex(path: Path, columns: int) -> Words:
    """Read a memory image, uint32 (n_words, columns).

    The file has one memory word per line, as ``columns`` hexadecimal 32-bit numbers, the low one
    first; an empty one gives 0 words. Raises FolderError, naming the file, if it cannot be read or
    is of another form.
    """
    try:
        text = path.read_text()
        rows = [[int(column, 16) for column in line.split()] for line in text.splitlines()]
        if any(len(row) != columns for row in rows):
            raise ValueError(f"every line must hold {columns} numbers")
        return np.array(rows, np.uint32).reshape(len(rows), columns)
    except (OSError, ValueError, OverflowError) as error:
        raise FolderError(f"{path}: {error}") from None


def format_hex(image: Words) -> str:
    """Return a memory image, uint32 (n_words, columns), as the text that ``read_hex`` reads."""
    return "".join(" ".join(f"{value:08x}" for value in row) + "\n" for row in image.tolist())


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise FolderError(f"{path}: must hold a JSON object")
    return content


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _BROKEN_NPZ as error:
        raise FolderError(f"{path}: {error}") from None
