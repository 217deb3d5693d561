"""Verification: simulation of a build folder's Verilog against its expected layer outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.build import built, imported, manifest
from codesign.build.build_folder import Vectors
from codesign.results import Figures, UserError
from models.files import temporary
from models.files.writing import npz_bytes
from sim import run
from sim.folder import MEMORY_FILE, PROGRAM_FILES, FolderError
from sim.run import HARDWARE_TESTS, INFERENCE
from sim.simulator import SimulationError
from sim.tools import verilator
from sim.tools.verilator import ToolMissing

TIMEOUT_S = run.TIMEOUT_S
"""Default time limit on compiling the simulator and running it, in seconds."""
__all__ = [
    "TIMEOUT_S",
    "SimulationError",
    "Verification",
    "check_tools",
    "verify",
    "verify_vectors",
]
_SIMULATED = (
    *("rtl", manifest.MANIFEST, "program.json"),
    *PROGRAM_FILES.values(),
    str(Path(MEMORY_FILE).parent),
)
"""Files and folders of a build folder that simulation reads, vectors left out."""


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one instruction of the program. Made by ``verify``, ``verify_vectors``."""

    name: str
    opcode: str
    expected: int
    """Cycles that the compiler computed, for one image."""
    simulated: int
    """Cycles that the simulated NPU logged."""


@dataclass(frozen=True)
class Verification:
    """Verdict and figures of a simulation. Made by ``verify`` and ``verify_vectors``."""

    figures: Figures
    """Simulated cycles_per_image, interval_cycles, and images_per_second at the clock given.

    They are of the normal program, and None where they were not measured."""
    passed: bool
    """True if bit-exact and cycle-exact, and every hardware test that was run passed."""
    bit_exact: bool
    """True if every run ended and every compared value equals the expected one."""
    images: int
    """Number of images whose runs ended without an error."""
    failure: str | None
    """The first failure as one sentence, with place and both values of a difference; None if all
    passed."""
    mismatch: dict[str, Any] | None
    """The first differing value, as sim.compare.Mismatch.to_dict; None if no value differs."""
    cycles_expected: int
    """Cycles of the compared program (traced or not) that the compiler computed, for one image and
    without stalls."""
    cycles_simulated: int | None
    """The same as simulated; None if no run ended."""
    layers: tuple[LayerCycles, ...]
    """Instructions of the compared program, in order; empty if no run ended."""
    hardware: dict[str, str | None]
    """Failure of each test of long use or misuse by its name, None if it passed; empty if none was
    run."""
    changed_files: tuple[str, ...]
    """Files of the build folder that are missing or differ from its manifest."""
    simulator: dict[str, Any]
    """The simulator's name, seconds of build and run, and simulated clock cycles per second."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with the known figures at the top level."""
        return {
            **self.figures.to_dict(),
            "images": self.images,
            "bit_exact": self.bit_exact,
            "passed": self.passed,
            "failure": self.failure,
            "mismatch": self.mismatch,
            "cycles": {"expected": self.cycles_expected, "simulated": self.cycles_simulated},
            "layers": [vars(layer) for layer in self.layers],
            "hardware": self.hardware,
            "changed_files": list(self.changed_files),
            "simulator": self.simulator,
        }


def check_tools() -> None:
    """Raise UserError, saying how to install it, if a tool that simulation needs is missing."""
    try:
        verilator.find()
    except ToolMissing as error:
        raise UserError(str(error)) from None


def verify(
    build_dir: Path,
    *,
    images: int = 8,
    seed: int = 0,
    stalls: float = 0.2,
    traced: bool = True,
    hardware: bool = False,
    jobs: int = 1,
    clock_mhz: float = 100.0,
    timeout_s: float = TIMEOUT_S,
    trust: bool = False,
    tell: Callable[[str], object] = lambda line: None,
) -> Verification:
    """Simulate the first ``images`` test images of a build folder and compare every result.

    images: >= 1, cut to the number of images in the folder. stalls: fraction of cycles (0..0.9) in
    which each channel of each bus is held back at random, by ``seed``. traced: run the program that
    stores every layer's output, and compare each; otherwise compare only the logits. hardware: also
    run the misuse tests (invalid programs, broken streams, resets, 100 runs in a row). jobs:
    simulator processes side by side. clock_mhz: clock that turns cycles into images per second.
    trust: also compile Verilog that is not plain (sim.tools.plain). tell: called, before anything
    is compiled, with lines that say what will be, and which files were changed since the build.

    A difference is no exception but a result with ``passed`` False. Raises UserError for a folder
    that is not a build folder, lacks files or cannot be read, an argument out of range or a missing
    tool; SimulationError when the simulator itself fails, the NPU hangs outside of the judged runs,
    or compiling and running it takes more than ``timeout_s`` seconds in all.
    """
    manifest.check_build(build_dir)
    built.check_memories(build_dir, imported.load(build_dir / "design.yaml").npu)
    changed = _changed(build_dir, tell)
    with _told(build_dir):
        request = run.Request(
            images=images,
            seed=seed,
            stalls=stalls,
            traced=traced,
            tests=(INFERENCE, *(HARDWARE_TESTS if hardware else ())),
            jobs=jobs,
            timeout_s=timeout_s,
            trust=trust,
        )
        result = run.simulate(build_dir, request, tell)
    return _verification(result, changed, clock_mhz)


def verify_vectors(
    build_dir: Path,
    vectors: Vectors,
    *,
    clock_mhz: float = 100.0,
    jobs: int = 1,
    timeout_s: float = TIMEOUT_S,
    trust: bool = False,
    tell: Callable[[str], object] = lambda line: None,
) -> Verification:
    """Simulate the Verilog of a build folder on other images than its own, and compare all results.

    vectors: the images and what every layer must give, all of which are simulated with ``verify``'s
    default stalls, in the traced program. clock_mhz, jobs, timeout_s, trust, tell: as for
    ``verify``; changed files are not told. The build folder is not changed. Raises as ``verify``
    does.
    """
    changed = _changed(build_dir, lambda line: None)
    with _told(build_dir), temporary.folder("vectors") as copy:
        for path in _SIMULATED:
            if (build_dir / path).exists():
                (copy / path).symlink_to((build_dir / path).resolve())
        (copy / "vectors").mkdir()
        for path, arrays in (("inputs", {"codes": vectors.inputs}), ("expected", vectors.expected)):
            (copy / "vectors" / f"{path}.npz").write_bytes(npz_bytes(arrays))
        request = run.Request(
            images=len(vectors.inputs), jobs=jobs, timeout_s=timeout_s, trust=trust
        )
        result = run.simulate(copy, request, tell)
    return _verification(result, changed, clock_mhz)


def _changed(build_dir: Path, tell: Callable[[str], object]) -> tuple[str, ...]:
    """Return the files that were changed or removed after the build, and ``tell`` them."""
    changed = tuple(manifest.changed_files(build_dir))
    for path in changed:
        tell(f"{path} was changed or removed after the build")
    return changed


@contextlib.contextmanager
def _told(build_dir: Path) -> Iterator[None]:
    """Raise UserError for bad input, missing tools and OSError in the simulation of a folder."""
    try:
        yield
    except (FolderError, ToolMissing) as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"cannot simulate {build_dir}: {error.strerror or error}") from None


def _verification(
    result: dict[str, Any], changed: tuple[str, ...], clock_mhz: float
) -> Verification:
    inference = result["inference"]
    rows = tuple(
        LayerCycles(row["name"], row["opcode"], row["expected"], row["simulated"])
        for row in inference["instructions"]
    )
    cycles = inference["production_cycles"]
    if cycles:
        cycles += inference["memory_wait_cycles"]
    failures = [inference["failure"]]
    failures += [f"{test}: {text}" for test, text in result["hardware"].items() if text]
    return Verification(
        figures=Figures(
            cycles_per_image=cycles,
            interval_cycles=inference["interval_cycles"],
        ).at(clock_mhz),
        passed=result["passed"],
        bit_exact=inference["bit_exact"],
        images=inference["images"],
        failure=next((text for text in failures if text), None),
        mismatch=inference["mismatch"],
        cycles_expected=inference["cycles"]["expected"],
        cycles_simulated=inference["cycles"]["simulated"],
        layers=rows,
        hardware=result["hardware"],
        changed_files=changed,
        simulator=result["simulator"],
    )
