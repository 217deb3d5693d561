"""Measure the LUTs per product and cycle of whole NPUs, by synthesis with Yosys.

``python -m benchmarks.density [POINT ...] [--json] [--fresh]``

``synth_xilinx -family xc7`` (``-nodsp`` except for the DSP forms) of the NPU between its AXI ports,
with buffers in block RAM. Points are named by activation x digit bits; ``1x1-binary`` takes weights
of +1 and -1 in one pass, ``1x1`` in two. Results are cached by content, ``--fresh`` synthesises
again; half a minute to four minutes per point on one core. Columns:

- macs: products (activation x weight digit) per cycle; with N:M sparsity (``4x4-2:4``) those that a
  dense array would need for the same layer in the same time
- multipliers: products per cycle that the array has hardware for
- luts, ffs, brams (36 Kb), dsps: resources of the whole NPU
- luts_per_mac: luts / macs
- array_luts_per_mac: LUTs of the MAC cells / macs
- overhead_luts: LUTs of everything except the MAC cells
- seconds, tool: duration and tool of the synthesis
"""

from __future__ import annotations

import argparse
import dataclasses
import json

from codesign.fpga import synthesis
from rtl_gen import emit
from rtl_gen.config import NpuConfig

_BUFFERS = {"activation_depth": 1024, "weight_depth": 512}
POINTS = {
    "4x4": NpuConfig(
        pixels=2, lanes=16, columns=16, activation_bits=4, weight_digit_bits=4,
        accumulator_bits=20, post_units=4, **_BUFFERS,
    ),
    **{
        f"4x4-{sparsity}": NpuConfig(
            pixels=2, lanes=16, columns=16, activation_bits=4, weight_digit_bits=4,
            accumulator_bits=20, post_units=4, sparsity=sparsity, **_BUFFERS,
        )
        for sparsity in ("2:4", "1:4", "4:8")
    },
    "4x2": NpuConfig(
        pixels=2, lanes=16, columns=16, activation_bits=4, weight_digit_bits=2,
        accumulator_bits=18, post_units=4, **_BUFFERS,
    ),
    **{
        f"1x1{name}": NpuConfig(
            pixels=2, lanes=32, columns=64, activation_bits=1, weight_digit_bits=1,
            accumulator_bits=14, post_units=4, binary_weights=binary, **_BUFFERS,
        )
        for name, binary in (("", 0), ("-binary", 1))
    },
    "8x8": NpuConfig(
        pixels=1, lanes=8, columns=16, activation_bits=8, weight_digit_bits=8,
        accumulator_bits=26, post_units=2, **_BUFFERS,
    ),
    "8x8-dsp": NpuConfig(
        pixels=1, lanes=8, columns=16, activation_bits=8, weight_digit_bits=8,
        accumulator_bits=26, post_units=2, multiplier="dsp", **_BUFFERS,
    ),
    **{
        f"8x8-dsp2{name}": NpuConfig(
            pixels=1, lanes=8, columns=columns, activation_bits=8, weight_digit_bits=8,
            accumulator_bits=26, post_units=2, multiplier="dsp2", **_BUFFERS,
        )
        for name, columns in (("", 16), ("-256", 32))
    },
    **{
        f"4x4-{multiplier}": NpuConfig(
            pixels=2, lanes=16, columns=16, activation_bits=4, weight_digit_bits=4,
            accumulator_bits=20, post_units=4, multiplier=multiplier, **_BUFFERS,
        )
        for multiplier in ("dsp2", "dsp4")
    },
    "smallest": NpuConfig(
        pixels=1, lanes=4, columns=4, activation_bits=4, weight_digit_bits=4,
        accumulator_bits=16, post_units=1, channel_depth=32, **_BUFFERS,
    ),
}  # fmt: skip
for pixels, lanes in ((3, 4), (2, 8)):  # with and without column reuse
    plain = NpuConfig(
        pixels=pixels, lanes=lanes, columns=lanes, activation_bits=4, weight_digit_bits=4,
        accumulator_bits=20, post_units=lanes, **_BUFFERS,
    )  # fmt: skip
    name = f"{pixels}x{lanes}x{lanes}"
    POINTS |= {name: plain, f"{name}-reuse": dataclasses.replace(plain, depthwise_taps=3)}
CELLS = ("npu_mac_cell", "npu_dot_", "npu_selection", "npu_packed_")
"""Beginnings of the names of the modules that make up the array's MAC cells."""


def array_luts(result: synthesis.Synthesis) -> float:
    """Return the LUTs of the MAC cells of a synthesised NPU."""
    return sum(
        (use.each.luts or 0.0) * use.instances
        for module, use in result.by_module.items()
        if module.startswith(CELLS)
    )


def measure(name: str, *, fresh: bool = False) -> dict[str, object]:
    """Return the row of one point. Raises YosysError."""
    config = POINTS[name]
    result = synthesis.synthesise(emit.verilog(config), dsps=config.uses_dsps, cache=not fresh)
    figures = result.figures
    assert figures.luts is not None
    array = array_luts(result)
    return {
        "point": name,
        "macs": config.macs,
        "multipliers": config.hardware_products,
        "luts": figures.luts,
        "ffs": figures.ffs,
        "brams": figures.brams,
        "dsps": figures.dsps,
        "luts_per_mac": round(figures.luts / config.macs, 2),
        "array_luts_per_mac": round(array / config.macs, 2),
        "overhead_luts": figures.luts - array,
        "seconds": round(result.seconds, 1),
        "tool": result.tool_version,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("points", nargs="*", metavar="POINT", help=", ".join(POINTS))
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--fresh", action="store_true", help="do not take cached results")
    options = parser.parse_args()
    unknown = sorted(set(options.points) - set(POINTS))
    if unknown:
        parser.error(f"POINT must be one of {', '.join(POINTS)}, not {', '.join(unknown)}")
    for name in options.points or POINTS:
        row = measure(name, fresh=options.fresh)
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        print(
            "{point:12} {macs:5} products {luts:8,.0f} LUTs {ffs:8,.0f} FFs {brams:6} BRAM "
            "{dsps:4} DSP {luts_per_mac:7} LUTs per product, array {array_luts_per_mac}, "
            "rest {overhead_luts:,.0f}".format(**row),
            flush=True,
        )


if __name__ == "__main__":
    main()
