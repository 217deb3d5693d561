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

from benchmarks.forms import FORMS
from codesign.cli.console import table
from codesign.fpga import families, synthesis
from rtl_gen import emit
from rtl_gen.config import NpuConfig

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
