"""Measure the clock frequency that NPUs of several sizes reach on a Lattice ECP5.

``python -m benchmarks.timing [--only NAME ...] [--seed 1] [--fresh] [--json]``

Each configuration is synthesised, placed and routed on an ECP5-85k of the slowest speed grade by
Yosys and nextpnr (codesign.fpga.placement, docs/explanation/timing.md). Results are cached by
content, ``--fresh`` runs the tools again; the largest takes a quarter of an hour of processor time.
Columns:

- name, macs: configuration and its products per cycle
- luts, ffs: LUT4 sites (TRELLIS_COMB) and flip-flops used
- estimate_mhz: clock by the timing model; fmax_mhz: by nextpnr, in MHz
- critical_path: start and end register, delay of logic and of routing in ns
- seconds: duration of synthesis, placement and routing

With ``--json`` the rest of codesign.fpga.placement.Placement, too.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from codesign.cost.table import ConfigTable
from codesign.cost.timing import TimingModel
from codesign.fpga import devices, placement
from codesign.fpga.placement import Placement
from rtl_gen import emit
from rtl_gen.config import NpuConfig

CONFIGS = {
    "tiny": NpuConfig(
        pixels=1, lanes=4, columns=4, weight_digit_bits=2, activation_bits=4, post_units=1
    ),
    "small": NpuConfig(
        pixels=2, lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, post_units=2
    ),
    "sparse": NpuConfig(
        pixels=2, lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, post_units=2,
        sparsity="2:4",
    ),
    "paired": NpuConfig(
        pixels=2, lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, post_units=2,
        multiplier="dsp2",
    ),
    "eight": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=8, activation_bits=8,
        accumulator_bits=24, post_units=2,
    ),
    "binary": NpuConfig(
        pixels=2, lanes=16, columns=32, weight_digit_bits=1, activation_bits=1,
        accumulator_bits=14, post_units=4, binary_weights=True,
    ),
    "large": NpuConfig(
        pixels=3, lanes=8, columns=16, weight_digit_bits=4, activation_bits=4, post_units=4
    ),
}  # fmt: skip


def measure(name: str, seed: int, *, fresh: bool = False) -> Placement:
    """Place and route one of CONFIGS. Raises ToolError or UserError (codesign.fpga.placement)."""
    config = CONFIGS[name]
    return placement.place_and_route(
        emit.verilog(config),
        devices.get(placement.DEVICE),
        dsps=config.uses_dsps,
        seed=seed,
        cache=not fresh,
    )


def row(name: str, found: Placement) -> dict[str, Any]:
    """Return the row of a configuration: parameters, estimate and result of place and route."""
    npu = CONFIGS[name]
    estimate = TimingModel.load().estimate(ConfigTable.of([npu]))
    return {
        "name": name,
        "npu": npu.to_dict(),
        "macs": npu.macs,
        "luts": found.used["TRELLIS_COMB"],
        "ffs": found.used["TRELLIS_FF"],
        "estimate_mhz": float(estimate.fmax_mhz[0]),
        **placement.to_dict(found),
    }


def text(found: dict[str, Any]) -> str:
    """Return the row as a line of text."""
    path = found["critical_path"]
    return (
        f"{found['name']:<6} {found['macs']:>5} {found['luts']:>7,} {found['ffs']:>7,} "
        f"{found['estimate_mhz']:>8.1f} {found['fmax_mhz']:>9.1f}  "
        f"{path['start']} -> {path['end']} "
        f"({path['logic_ns']:.1f} + {path['routing_ns']:.1f} ns), {found['seconds']:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="run the tools again")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    args = parser.parse_args()
    if not args.json:
        print(
            "name    MACs    LUTs     FFs estimate  Fmax/MHz  critical path (logic + routing), time"
        )
    for name in args.only:
        found = row(name, measure(name, args.seed, fresh=args.fresh))
        print(json.dumps(found) if args.json else text(found), flush=True)


if __name__ == "__main__":
    main()
