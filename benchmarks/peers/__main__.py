"""Measure images per second and 1,000 LUTs of two CNNs, on our NPUs and on NNgen's accelerators.

``python -m benchmarks.peers [NETWORK ...] [--json] [--fresh [--points POINT ...]]``

Our NPUs are built, simulated in Verilator (bit-exact and cycle-exact, or the run fails) and
synthesised in this run; synthesis and compiled simulators are cached by content. NNgen's figures
come from data/nngen.json; ``--fresh`` measures those first, with the same Yosys command and the
same Verilator, 10 to 35 minutes per point, each stored as it comes. docs/measurements/peers.md
discusses what is comparable. Exit status 1 if a simulation or synthesis fails, 2 for bad input.

Columns:

- design, network, bits (of weights, activations and input)
- products: multiplications per cycle at most
- luts, ffs, brams (36 Kb): resources, 0 DSP slices
- cycles_per_image: simulated, from start to end of one image
- images_per_second: at 100 MHz; images_per_second_per_kluts: divided by luts / 1000
- ratio_to_best_nngen: the latter / that of NNgen's best point of the network
- tools, date: what measured the row; date of a stored figure
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.networks.zoo import NETWORKS
from benchmarks.peers import nngen_figures
from benchmarks.simulated import CLOCK_MHZ, simulate
from codesign.fpga import synthesis
from codesign.fpga.yosys import YosysError
from codesign.results import UserError
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen import emit
from rtl_gen.config import NpuConfig
from sim.simulator import SimulationError
from sim.tools.verilator import find

PEERS = ("cnn_a", "cnn_b")


@dataclass(frozen=True)
class Ours:
    """An NPU of ours for a network of ``bits``-bit weights, activations and input."""

    network: str
    bits: int
    npu: NpuConfig


# The NPUs of the most images per second and LUT among about 1,000 shapes of up to 33,000 estimated
# LUTs each. Accumulators that no weights overflow, memories as deep as needed.
POINTS = {
    "cnn_a-int8": Ours("cnn_a", 8, NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=8, activation_bits=8, accumulator_bits=26,
        post_units=2, activation_depth=2048, weight_depth=1024, channel_depth=64, result_depth=8,
        program_depth=128,
    )),
    "cnn_a-4x4": Ours("cnn_a", 4, NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, accumulator_bits=18,
        post_units=2, activation_depth=1024, weight_depth=1024, channel_depth=64, result_depth=8,
        program_depth=128,
    )),
    "cnn_b-int8": Ours("cnn_b", 8, NpuConfig(
        pixels=2, lanes=8, columns=32, weight_digit_bits=8, activation_bits=8, accumulator_bits=28,
        post_units=8, activation_depth=8192, weight_depth=2048, channel_depth=64, result_depth=4,
        program_depth=256,
    )),
    "cnn_b-4x4": Ours("cnn_b", 4, NpuConfig(
        pixels=2, lanes=16, columns=32, weight_digit_bits=4, activation_bits=4, accumulator_bits=20,
        post_units=8, activation_depth=2048, weight_depth=512, channel_depth=32, result_depth=2,
        program_depth=256,
    )),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the table: one design on one network."""

    design: str
    network: str
    bits: int
    products: int
    """Multiplications per cycle at most."""
    luts: float
    ffs: float | None
    brams: float | None
    cycles_per_image: int
    tools: str
    date: str | None
    """Date of a stored figure; None for one of this run, or if it is not known."""

    @property
    def images_per_second(self) -> float:
        return CLOCK_MHZ * 1e6 / self.cycles_per_image

    @property
    def images_per_second_per_kluts(self) -> float:
        return self.images_per_second / self.luts * 1000


def ours(name: str) -> Row:
    """Build, simulate and synthesise one of POINTS.

    Raises SimulationError, YosysError, UserError.
    """
    point = POINTS[name]
    quantisation = Quantisation(point.bits, QuantSpec(point.bits, point.bits))
    result = simulate(name, NETWORKS[point.network](), quantisation, point.npu)
    cycles = result.figures.cycles_per_image  # of the program without the tracing of layers
    found = synthesis.synthesise(emit.verilog(point.npu))
    assert found.figures.luts is not None
    assert cycles is not None
    return Row(
        design=f"ours {name}",
        network=point.network,
        bits=point.bits,
        products=point.npu.macs,
        luts=found.figures.luts,
        ffs=found.figures.ffs,
        brams=found.figures.brams,
        cycles_per_image=int(cycles),
        tools=f"{found.tool_version}, Verilator {find().version}",
        date=None,
    )


def stored(network: str) -> list[Row]:
    """Return NNgen's stored points of ``network`` whose LUTs and cycles are known."""
    return [
        Row(
            design=f"nngen {point.name}" + (f" of {point.date}" if point.date else ""),
            network=network,
            bits=nngen_figures.BITS,
            products=point.multipliers,
            luts=point.luts,
            ffs=point.ffs,
            brams=point.brams,
            cycles_per_image=point.cycles,
            tools=point.tools,
            date=point.date,
        )
        for point in nngen_figures.read()
        if point.network == network and point.luts is not None and point.cycles is not None
    ]


def with_ratios(rows: Sequence[Row], reference: Sequence[Row]) -> list[dict[str, object]]:
    """Return ``rows`` as JSON objects, with their ratios to the best row of ``reference``.

    Raises UserError when there is nothing to compare with.
    """
    if not reference:
        raise UserError(
            f"{nngen_figures.DATA} has no complete figure of this network; run with --fresh"
        )
    best = max(row.images_per_second_per_kluts for row in reference)
    return [
        {
            **asdict(row),
            "images_per_second": round(row.images_per_second, 1),
            "images_per_second_per_kluts": round(row.images_per_second_per_kluts, 2),
            "ratio_to_best_nngen": round(row.images_per_second_per_kluts / best, 2),
        }
        for row in rows
    ]


def refresh(networks: Sequence[str], names: Sequence[str], python: Path) -> None:
    """Measure and store NNgen's points of ``networks``, or those named, the quickest first.

    Raises UserError, SimulationError, YosysError.
    """
    known = {point.name: point for point in nngen_figures.read() if point.network in networks}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UserError(f"no point {', '.join(unknown)}; there are {', '.join(known)}")
    nngen_figures.versions(python)
    chosen = [known[name] for name in names or known]
    for point in sorted(chosen, key=lambda point: (point.multipliers, point.cycles or 0)):
        sys.stderr.write(f"NNgen {point.name}: generating, simulating, synthesising\n")
        nngen_figures.store(nngen_figures.measure(point, python))


def show(row: dict[str, object]) -> str:
    return (
        "{design:38} {bits} bits {products:5} products {luts:8,.0f} LUTs "
        "{cycles_per_image:8,} cycles {images_per_second:9,} images/s "
        "{images_per_second_per_kluts:9,} per 1,000 LUTs {ratio_to_best_nngen:6}x"
    ).format(**row)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(PEERS))
    made.add_argument("--json", action="store_true", help="one object a row")
    made.add_argument("--fresh", action="store_true", help="measure NNgen's figures again")
    made.add_argument(
        "--points", nargs="+", default=[], metavar="POINT", help="of NNgen, with --fresh"
    )
    made.add_argument(
        "--nngen-python", type=Path, default=Path(sys.executable), metavar="PATH",
        help="interpreter of an environment that has NNgen, for --fresh",
    )  # fmt: skip
    return made


def main() -> int:
    options = parser().parse_args()
    networks = options.networks or PEERS
    unknown = sorted(set(networks) - set(PEERS))
    if unknown:
        parser().error(f"NETWORK must be one of {', '.join(PEERS)}, not {', '.join(unknown)}")
    if options.points and not options.fresh:
        parser().error("--points says what --fresh measures again; give both")
    try:
        if options.fresh:
            refresh(networks, options.points, options.nngen_python)
        for network in networks:
            theirs = stored(network)
            mine = [ours(name) for name, point in POINTS.items() if point.network == network]
            for row in with_ratios([*theirs, *mine], theirs):
                print(json.dumps(row) if options.json else show(row), flush=True)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (SimulationError, YosysError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
