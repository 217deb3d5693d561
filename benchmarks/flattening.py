"""Compare the LUTs of flattened and of hierarchical synthesis, for one NPU of each form.

``python -m benchmarks.flattening [--form NAME ...] [--family xc7 ecp5] [--json]``

Flattened is what a stranger's flow gives: ``synth_xilinx -flatten``, ``synth_ecp5``. Modules whose
Verilog says ``keep_hierarchy`` stay whole in it. Columns: LUTs of the hierarchical and of the
flattened design, their ratio (to reach: at most MOST), and the ratio without the attribute (with
``--bare``). Takes 2 to 4 minutes a form and family on one core.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any

from codesign.cli.console import table
from codesign.fpga import families, synthesis
from rtl_gen import emit
from rtl_gen.config import NpuConfig

FORMS = {
    "1-bit digits": NpuConfig(lanes=8, columns=8, weight_digit_bits=1),
    "1-bit activations": NpuConfig(lanes=8, columns=8, weight_digit_bits=1, activation_bits=1),
    "binary weights": NpuConfig(
        lanes=8, columns=16, weight_digit_bits=1, activation_bits=4, binary_weights=True
    ),
    "2-bit digits": NpuConfig(lanes=8, columns=16, weight_digit_bits=2),
    "4-bit digits": NpuConfig(lanes=8, columns=8, weight_digit_bits=4, accumulator_bits=17),
    "8-bit digits": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=8, activation_bits=8, accumulator_bits=26
    ),
    "1:4": NpuConfig(lanes=8, columns=8, weight_digit_bits=1, sparsity="1:4"),
    "2:4, memory port": NpuConfig(lanes=8, columns=8, sparsity="2:4", memory_port_bits=32),
    "4:8": NpuConfig(pixels=1, lanes=16, columns=16, weight_digit_bits=4, sparsity="4:8"),
    "column reuse": NpuConfig(lanes=8, columns=8, weight_digit_bits=4, depthwise_taps=3),
    "dsp, tiles in memory": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=4, multiplier="dsp",
        memory_port_bits=64, memory_tiles=True,
    ),
    "dsp2": NpuConfig(
        pixels=1, lanes=8, columns=8, weight_digit_bits=8, activation_bits=8, accumulator_bits=26,
        multiplier="dsp2",
    ),
    "dsp4": NpuConfig(lanes=8, columns=8, weight_digit_bits=4, multiplier="dsp4"),
    "wide inputs": NpuConfig(
        lanes=8, columns=8, weight_digit_bits=2, activation_bits=4, wide_input_passes=3
    ),
    "smallest": NpuConfig(
        pixels=1, lanes=2, columns=2, post_units=1, activation_bits=3, weight_depth=16,
        channel_depth=4, result_depth=2, activation_depth=16, program_depth=32,
    ),
}  # fmt: skip
"""One small NPU of each form of the hardware, for checks of what the generator emits."""
MOST = 1.01
"""Flattened over hierarchical LUTs, to reach by every form and family."""
_KEEP = re.compile(r"^\(\* keep_hierarchy = .*\*\)\n", re.MULTILINE)


def compare(config: NpuConfig, family: str, *, bare: bool = False) -> dict[str, Any]:
    """Return the LUTs of both flows and their ratio; ``bare``: without the attribute as well."""
    verilog = emit.verilog(config)

    def luts(flatten: bool, files: dict[str, str] = verilog) -> float:
        found = synthesis.synthesise(files, dsps=config.uses_dsps, family=family, flatten=flatten)
        return found.figures.luts or 0.0

    whole, flat = luts(flatten=False), luts(flatten=True)
    found = {"hierarchical": whole, "flattened": flat, "ratio": flat / whole}
    if bare:
        plain = {name: _KEEP.sub("", text) for name, text in verilog.items()}
        found["bare_ratio"] = luts(True, plain) / whole
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table or JSON; exit status 1 if a ratio is above MOST."""
    parser = argparse.ArgumentParser(prog="benchmarks.flattening", description=__doc__)
    parser.add_argument("--form", nargs="+", choices=FORMS, default=list(FORMS), metavar="NAME")
    parser.add_argument("--family", nargs="+", choices=families.FAMILIES, default=["xc7", "ecp5"])
    parser.add_argument("--bare", action="store_true", help="measure without the attribute, too")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    rows = [
        {"form": form, "family": family, **compare(FORMS[form], family, bare=args.bare)}
        for form in args.form
        for family in args.family
    ]
    titles = tuple(rows[0])
    lines = [
        tuple(
            f"{v:.3f}" if "ratio" in k else f"{v:,}" if k not in titles[:2] else v for k, v in one
        )
        for one in (row.items() for row in rows)
    ]
    print(json.dumps(rows) if args.json else table(titles, lines))
    return int(any(row["ratio"] > MOST for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
