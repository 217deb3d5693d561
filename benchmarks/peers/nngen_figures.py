"""NNgen's figures in the peer comparison: stored points, and how to measure them.

NNgen (github.com/NNgen/nngen) is installed in an environment of its own; ``nngen_cnn.py`` runs
there and writes Verilog, which the same Yosys and Verilator measure as our NPUs.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.networks.zoo import NETWORKS
from codesign.fpga import synthesis
from codesign.results import UserError
from models.files.writing import atomic_file
from models.graph.layers import Conv2d, Linear, MaxPool
from sim import simulator
from sim.process import execute
from sim.simulator import SimulationError
from sim.tools import verilator

DATA = Path(__file__).parents[1] / "data" / "nngen.json"
PACKAGES = ("nngen==1.3.4", "veriloggen==2.3.0")
"""Versions that the figures were measured with."""
BITS = 8
_GENERATOR = Path(__file__).with_name("nngen_cnn.py")
_SYNTHESIS_TIMEOUT_S = 6 * 3600.0
_SIMULATION_TIMEOUT_S = 3600.0
_VERSIONS = """
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("nngen", "veriloggen")))
"""


@dataclass(frozen=True)
class Point:
    """An NNgen accelerator and its figures; None is 'not measured'."""

    network: str
    par_ich: int
    par_och: int
    axi_bits: int
    multipliers: int
    """Multipliers of 8 x 8 bits in the array (without those of the scales)."""
    luts: float | None
    ffs: float | None
    brams: float | None
    cycles: int | None
    """Cycles from start to done, as seen by the host."""
    tools: str
    date: str | None
    source: str

    @property
    def name(self) -> str:
        return point_name(self.network, self.par_ich, self.par_och, self.axi_bits)


def point_name(network: str, par_ich: int, par_och: int, axi_bits: int) -> str:
    return f"{network}-{par_ich}x{par_och}-axi{axi_bits}"


def read(path: Path = DATA) -> list[Point]:
    """Return the stored points. Raises UserError naming the file and what is wrong with it."""
    known = {field.name for field in fields(Point)}
    try:
        rows = json.loads(path.read_text())["points"]
        points = [Point(**row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} must hold {{'points': [...]}}, each with {', '.join(sorted(known))}: {error}"
        ) from None
    unknown = {point.network for point in points} - set(NETWORKS)
    if unknown:
        raise UserError(f"{path}: no network is named {', '.join(sorted(unknown))}")
    return points


def store(measured: Point, path: Path = DATA) -> None:
    """Store ``measured`` in the file, in place of an older figure of the same accelerator.

    A figure without a date (not measured by this benchmark) stays besides it.
    """

    def key(point: Point) -> tuple[str, bool]:
        return point.name, point.date is not None

    points = {key(point): point for point in [*read(path), measured]}
    rows = [asdict(point) for _, point in sorted(points.items())]
    with atomic_file(path) as file:
        file.write((json.dumps({"points": rows}, indent=1) + "\n").encode())


def versions(python: Path) -> str:
    """Return the versions of NNgen and Veriloggen that ``python`` has.

    Raises UserError saying what to install.
    """
    cure = (
        f"python3 -m venv ENV && ENV/bin/pip install {' '.join(PACKAGES)}, "
        "then --nngen-python ENV/bin/python"
    )
    try:
        done = subprocess.run(
            [python, "-c", _VERSIONS], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UserError(f"--nngen-python {python}: {error.strerror}; {cure}") from None
    if done.returncode:
        raise UserError(f"{python} has no NNgen, --fresh needs one: {cure}")
    return done.stdout.strip()


def layers(network: str) -> list[list[object]]:
    """Return the network as nngen_cnn.py takes it. Raises UserError for layers it does not know."""
    found: list[list[object]] = []
    graph = NETWORKS[network]()
    for layer in graph.layers[1:]:
        match layer.spec:
            case Conv2d(channels, (3, 3), (1, 1), (1, 1), groups=1, relu=True):
                found.append(["conv", channels])
            case MaxPool((size, _)):
                found.append(["pool", size])
            case Linear(features, relu=relu):
                found.append(["linear", features, relu])
            case other:
                raise UserError(f"{network}: nngen_cnn.py does not know {other}")
    return found


def measure(point: Point, python: Path) -> Point:
    """Generate, simulate and synthesise the accelerator of ``point`` and return its new figures.

    Raises UserError without NNgen, SimulationError when its logits are not those of its own
    software model, YosysError.
    """
    tools = versions(python)
    with tempfile.TemporaryDirectory(prefix="codesign-nngen-") as name:
        folder = Path(name)
        graph = NETWORKS[point.network]()
        request = {
            "shape": graph.shapes[graph.input.name],
            "layers": layers(point.network),
            "bits": BITS,
            "par_ich": point.par_ich,
            "par_och": point.par_och,
            "axi_bits": point.axi_bits,
        }
        command = [str(python), str(_GENERATOR), json.dumps(request)]
        _checked("NNgen", command, folder)
        verilog = (folder / "nngen.v").read_text()
        cycles = simulate(folder)
    found = synthesis.synthesise({"nngen.v": verilog}, top="nngen", timeout_s=_SYNTHESIS_TIMEOUT_S)
    return Point(
        network=point.network,
        par_ich=point.par_ich,
        par_och=point.par_och,
        axi_bits=point.axi_bits,
        multipliers=len(re.findall(r"^module madd_core_\d+", verilog, re.MULTILINE)),
        luts=found.figures.luts,
        ffs=found.figures.ffs,
        brams=found.figures.brams,
        cycles=cycles,
        tools=f"{tools}, {found.tool_version}, Verilator {verilator.find().version}",
        date=datetime.date.today().isoformat(),
        source=f"measured by benchmarks.peers --fresh, synthesis took {found.seconds:.0f} s",
    )


def simulate(folder: Path) -> int:
    """Run the test bench in ``folder`` and return its cycles. Raises SimulationError.

    The bench drives itself, so Verilator's own main program runs it: no cocotb.
    """
    tool = verilator.find()
    verilate = [
        str(tool.program), "--cc", "--exe", "--main", "--timing", "-O3", "-Wno-fatal", "-Wno-lint",
        "--x-assign", "fast", "--top-module", "test", "--prefix", "Vtop", "--Mdir", "objects",
        "bench.v",
    ]  # fmt: skip
    make = [
        "make", "-j2", "-C", "objects", "-f", "Vtop.mk", "OPT_FAST=-O2",
        "CFG_CXXFLAGS_COROUTINES=-std=c++20", *simulator.MAKE_VARIABLES,
    ]  # fmt: skip
    _checked("Verilator", verilate, folder)
    _checked("make", make, folder)
    return cycles_of(_checked("NNgen's test bench", [str(folder / "objects" / "Vtop")], folder))


def cycles_of(log: str) -> int:
    """Return the cycles in the bench's log. Raises SimulationError unless all logits are right."""
    cycles = re.findall(r"^cycles\s+(\d+)", log, re.MULTILINE)
    if len(cycles) != 1 or "WRONG" in log or "right" not in log:
        raise SimulationError(f"NNgen's test bench did not pass; its log ends:\n{log[-1000:]}")
    return int(cycles[0])


def _checked(name: str, command: Iterable[str], folder: Path) -> str:
    environment = verilator.environment(verilator.find().root)
    done = execute([*command], folder, environment, _SIMULATION_TIMEOUT_S)
    if done.failure:
        raise SimulationError(f"{name} {done.failure}; its log ends:\n{done.tail()}")
    return done.log
