"""Print what the ICCAD 2019 model says of its headline design, corrected, and on our NPU.

``python -m benchmarks.naqs [--json] [--reality]``

Rows: the design by the model as its authors' program computes it; the same tiles where multipliers
are looked up by all bits and maps have their true size; tiles searched anew so. With ``--reality``
(some minutes, the first time) the same network, its fully connected layers included, on the fastest
of our NPUs that fits the same LUTs after synthesis, simulated with random weights. Columns:

- luts, cycles, images_per_second (at 100 MHz); a row of the model counts neither registers nor
  memories nor control
- fits: whether the LUTs are within the 30,000 of the paper
- measured: False for a row of the model, True for synthesis and simulation
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from benchmarks.naqs import designs, partition, reality
from benchmarks.naqs.cost import Form
from benchmarks.naqs.partition import Partition


def rows(real: bool) -> Iterator[dict[str, object]]:
    """Yield the rows, the measured one only if ``real``."""
    layers = designs.convolutions()
    for form, name in ((Form.PUBLISHED, "as published"), (Form.CORRECTED, "corrected, same tiles")):
        yield _row(name, partition.of_tiles(layers, designs.TILES, form))
    limits = designs.MOST_LUTS, designs.LEAST_IMAGES_PER_SECOND
    found = partition.search(layers, *limits, Form.CORRECTED)
    if found is not None:
        yield _row("corrected, searched again", found)
    if real:
        measured = reality.measure(reality.fastest(designs.MOST_LUTS), designs.MOST_LUTS)
        if measured is not None:
            npu = measured.npu
            yield {
                "design": "on our NPU", "luts": measured.luts, "cycles": measured.cycles,
                "images_per_second": round(measured.images_per_second, 2), "fits": True,
                "measured": True, "brams": measured.brams,
                "npu": str(npu),
            }  # fmt: skip


def _row(name: str, found: Partition) -> dict[str, object]:
    return {
        "design": name,
        "luts": found.luts,
        "cycles": found.cycles,
        "images_per_second": round(found.images_per_second, 2),
        "fits": found.luts <= designs.MOST_LUTS,
        "measured": False,
        "tiles": [[(tile.tn, tile.tm) for tile in group] for group in found.groups],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reality", action="store_true", help="synthesise and simulate it, too")
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    for row in rows(options.reality):
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        source = "measured" if row["measured"] else "model"
        print(
            "{design:26} {luts:7,} LUTs {cycles:8,} cycles {images_per_second:9,.2f} images/s"
            "  {source}{misfit}".format(
                **row, source=source, misfit="" if row["fits"] else ", does not fit"
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
