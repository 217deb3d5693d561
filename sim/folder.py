"""The build folder as the bench reads it: program.json, memory images and vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROGRAM_FORMAT = 4
"""``format`` of program.json that this bench understands."""
PROGRAM_FILES = {
    "normal": "program.hex",
    "traced": "program_traced.hex",
    "stream": "program_stream.hex",
}
"""``stream`` is there when activation memory has room for the next image."""
MEMORY_FILE = "mem/memory.bin"
"""32-bit words, little-endian; there when the NPU fetches its weights."""
TOP = "npu"
PORTS = ("aclk", "aresetn", "irq", "s_axi_control_*", "s_axis_*", "m_axis_*", "m_axi_*")
"""Ports of the top module, the only signals that the bench touches."""

Words = NDArray[np.uint32]


class FolderError(ValueError):
    """A build folder that lacks a file or holds a broken one."""


@dataclass(frozen=True)
class StoredProgram:
    """One program of the build folder: ``normal``, ``traced`` with a STORE per layer, or ``stream``
    for images back to back."""

    name: str
    words: tuple[int, ...]
    """As the bus takes them: 32 bits, low ones of a program word first."""
    instructions: tuple[dict[str, Any], ...]
    """In order; each with index, opcode, name, tensor, word (of program memory), cycles and
    log (expected CYCLES at its end)."""
    cycles: int
    """Expected CYCLES of a run of one image."""
    interval_cycles: int | None
    """Of ``stream``: what each further image of a run adds."""

    @property
    def wait_cycles(self) -> int:
        """Expected STALLS of a run of one image when no stream is late."""
        return sum(entry["wait_cycles"] for entry in self.instructions)

    def tensors(self, opcode: str) -> list[str]:
        """The tensors of the instructions with that opcode, in order."""
        return [entry["tensor"] for entry in self.instructions if entry["opcode"] == opcode]

    def entry(self, opcode: str) -> dict[str, Any]:
        """The first instruction with that opcode."""
        return next(entry for entry in self.instructions if entry["opcode"] == opcode)


@dataclass(frozen=True)
class Loadable:
    """What the NPU is loaded with, and how to talk to it."""

    path: Path
    """The build folder."""
    input: dict[str, Any]
    """Layout of the input tensor."""
    output: dict[str, Any]
    """Layout of the logits."""
    tensors: dict[str, dict[str, Any]]
    """Tensor name -> layout."""
    programs: dict[str, StoredProgram]
    hardware: dict[str, Any]
    """Register map, memories and instruction fields of this NPU."""
    weights: Words
    """[words, 32-bit columns]"""
    channels: Words
    """[words, 2 * post units]"""
    memory: Words
    """[words]: what FETCH reads"""
    memory_latency_cycles: int
    """With which the expected waits were worked out."""


@dataclass(frozen=True)
class BuildFolder(Loadable):
    """A build folder with its test vectors."""

    inputs: NDArray[np.uint8]
    """Input codes [images, channels, rows, columns]."""
    expected: dict[str, NDArray[Any]]
    """Tensor name -> codes [images, ...]; logits int32 [images, classes]."""

    def verilog(self) -> dict[str, str]:
        """File name -> text of rtl/*.v."""
        files = sorted((self.path / "rtl").glob("*.v"))
        if not files:
            raise FolderError(f"{self.path / 'rtl'} holds no Verilog")
        return {file.name: file.read_text() for file in files}


def read(path: Path) -> BuildFolder:
    """Read the build folder ``path``. Raises FolderError naming the file that is not as it must."""
    return BuildFolder(
        **vars(read_loadable(path)),
        inputs=_arrays(path / "vectors" / "inputs.npz")["codes"],
        expected=_arrays(path / "vectors" / "expected.npz"),
    )


def read_loadable(path: Path) -> Loadable:
    """The build folder without its test vectors. Raises FolderError."""
    program = _json(path / "program.json")
    if program.get("format") != PROGRAM_FORMAT:
        raise FolderError(
            f"{path / 'program.json'}: format must be {PROGRAM_FORMAT}, "
            f"not {program.get('format')!r}; build the folder again"
        )
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
            if name in program["programs"]
        },
        hardware=hardware,
        weights=read_hex(path / "mem" / "weights.hex", hardware["weights"]["columns"]),
        channels=read_hex(path / "mem" / "channels.hex", hardware["channels"]["columns"]),
        memory=_memory(path, program["memory"]["words"]),
        memory_latency_cycles=program["memory"]["latency_cycles"],
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
    """A memory image: one word per line as ``columns`` 32-bit hex numbers, the low one first."""
    try:
        text = path.read_text()
        rows = [[int(column, 16) for column in line.split()] for line in text.splitlines()]
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from None
    if any(len(row) != columns for row in rows):
        raise FolderError(f"{path}: every line must hold {columns} numbers")
    return np.array(rows, np.uint32).reshape(len(rows), columns)


def format_hex(image: Words) -> str:
    """The text that ``read_hex`` reads back."""
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
    except (OSError, ValueError) as error:
        raise FolderError(f"{path}: {error}") from None
