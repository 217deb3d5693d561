"""The build folder: Verilog, program, test vectors, driver and reports of one design.

It is written atomically. Files in it that are not the build's stay in it (codesign.build.manifest).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build import manifest
from codesign.build.carried import Files, carried
from codesign.build.imported import ImportedDesign
from codesign.compiler import CompiledNetwork
from codesign.design import Design
from codesign.fpga import devices, synthesis
from codesign.fpga.devices import Device
from codesign.results import UserError
from codesign.tools import locks
from models.data.layout import Layout
from models.data.values import PIXELS
from models.files import folders
from models.files.writing import npz_bytes
from models.integer import files as network_files
from rtl_gen import emit
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.naming import Names
from rtl_gen.package import c_header, hardware, projects
from sim.folder import MEMORY_FILE, PROGRAM_FILES, format_hex

NETWORK = "network.npz"
"""File of the integer network (models.integer.files)."""


@dataclass(frozen=True)
class Vectors:
    """Test images with the expected output of every layer. Made by ``pipeline.vectors``."""

    inputs: NDArray[np.uint8]
    """Input codes, shape (n_images, channels, rows, columns)."""
    expected: Mapping[str, NDArray[Any]]
    """Codes uint8 (n_images, channels, rows, columns), or logits int32 (n_images, classes), by
    tensor name, the input's included."""


def build(
    design: Design | ImportedDesign,
    compiled: CompiledNetwork,
    vectors: Vectors,
    out: Path,
    *,
    device: Device | None = None,
    reports: Mapping[str, Any] | None = None,
    prefix: str = "",
    warn: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the build folder of ``design`` to ``out`` and return ``out``.

    device: part that the files are for; None: devices.DEFAULT, which the Vivado script then calls
    assumed (devices.for_vivado); the manifest has null. reports: name -> JSON content of
    reports/<name>.json; the ``classes`` of ``accuracy`` name the classes. prefix: of the names of
    all modules (rtl_gen.naming). The same arguments give byte-identical files (the manifest has
    package versions).

    Of a build folder at ``out`` the files that its manifest lists, added reports included, are
    replaced or removed. Those among them that were changed since, and others in the way of a new
    file, get the end folders.KEPT, and ``warn`` is called with a sentence; whatever else lies in
    the folder stays.

    Raises ConfigError for an invalid prefix; UserError when ``out`` holds anything else or cannot
    be written (a full disk). ``out`` then stays as it was, and no temporary file is left.
    """
    check_free(out)
    files = contents(design, compiled, vectors, device=device, reports=reports or {}, prefix=prefix)
    files[manifest.MANIFEST] = manifest.contents(design, device, files)
    try:
        folders.recover(out)
        earlier = manifest.earlier(out) if manifest.is_build(out) else folders.NOTHING
        kept = folders.write(files, out, earlier)
    except OSError as error:
        raise UserError(f"cannot write the build folder {out}: {error.strerror or error}") from None
    for path, now in kept.items():
        warn(f"{out / path} was not as a build wrote it and is kept as {now}")
    return out


def check_free(out: Path) -> None:
    """Raise UserError unless ``out`` is absent, empty, or a build folder; a link is refused."""
    if out.is_symlink():
        raise UserError(f"{out} is a link; name the folder itself")
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; choose another folder for the build")
    if any(out.iterdir()) and not manifest.is_build(out):
        raise UserError(f"{out} holds something else than a build; choose another folder")


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other processes from building into ``out`` during the ``with`` block.

    The lock is a file beside the folder, because the folder is replaced as a whole; a missing
    parent folder is created, and what a killed build left is put right (folders.recover). Limits
    and errors: locks.held; OSError for the folder.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with locks.held(out.with_name(f".{out.name}.lock"), f"a build is running in {out}"):
        folders.recover(out)
        yield


def contents(
    design: Design | ImportedDesign,
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
        "input_axes": design.dataset.layout if isinstance(design, Design) else Layout.AUTO,
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
    design: Design | ImportedDesign, device: Device | None, verilog: tuple[str, ...], top: str
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


def add_report(build_dir: Path, name: str, content: Any) -> None:
    """Add ``content`` to a build folder as reports/<name>.json. Raises UserError."""
    manifest.add(build_dir, f"reports/{name}.json", _json(content).encode())
