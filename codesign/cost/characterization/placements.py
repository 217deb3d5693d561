"""Place and route of configurations of the synthesis data set, into the timing data set."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.area import dsps
from codesign.cost.area.model import FAMILY_RATIOS
from codesign.cost.characterization import measuring
from codesign.cost.characterization.measuring import TIMEOUT_S, Progress, RowStore
from codesign.cost.data import timing_data
from codesign.cost.data.dataset import Row
from codesign.cost.data.timing_data import DEVICE, TimingRow
from codesign.cost.table import ConfigTable
from codesign.fpga import devices, nextpnr, placement
from rtl_gen import emit
from rtl_gen.config import NpuConfig

SEED = 1
"""Seed of the placer, the same for all rows; its effect is noise that the model cannot predict."""


@dataclass(frozen=True)
class Placed:
    """One placed and routed NPU. Made by ``measure``."""

    row: TimingRow


def measure(config: NpuConfig, timeout_s: float = TIMEOUT_S) -> Placed:
    """Generate, synthesise, place and route one configuration on DEVICE.

    Raises ToolError if a tool fails or takes more than ``timeout_s`` seconds, or the NPU does not
    fit; UserError if a tool is missing; OSError on a full disk.
    """
    verilog = emit.verilog(config)
    device = devices.get(DEVICE)
    found = placement.place_and_route(
        verilog, device, dsps=config.uses_dsps, seed=SEED, timeout_s=timeout_s
    )  # fmt: skip
    return Placed(
        TimingRow(
            config=config,
            sites=found.used["TRELLIS_COMB"],
            fmax_mhz=round(found.fmax_mhz, 2),
            rtl_hash=measuring.rtl_hash(verilog),
            tool=f"{found.tool_version}; {found.device}-{found.speed_grade}; "
            f"{found.target_mhz:g} MHz; seed {found.seed}; {found.synthesis_version}",
            date=datetime.date.today().isoformat(),
            seconds=found.seconds,
        )
    )


def chosen(rows: Sequence[Row], most_luts: float) -> list[NpuConfig]:
    """Return the configurations of the synthesis data to place, in the order of their hashes.

    These are all with up to ``most_luts`` LUTs (as synthesised for xc7) that fit the device. Its
    LUTs are converted by the largest ratio of FAMILY_RATIOS. The order is independent of their
    properties, so that every prefix is a fair sample.
    """
    device = devices.get(DEVICE)
    _, _, most_sites = FAMILY_RATIOS[device.family]["luts"]
    most_luts = min(most_luts, device.luts / most_sites)
    small = [row for row in rows if row.luts <= most_luts and row.brams <= device.brams]
    slices = dsps.dsp_count(ConfigTable.of([row.config for row in small]), device.family)
    found = {row.config for row, n in zip(small, slices, strict=True) if n <= device.dsps}
    return sorted(found, key=lambda config: config.hash)


def characterize(
    rows: Sequence[Row],
    path: Path,
    count: int,
    most_luts: float,
    jobs: int,
    progress: Progress,
    measure_one: Callable[[NpuConfig], Placed] = measure,
    *,
    refresh: bool = False,
    retry: bool = False,
) -> list[tuple[NpuConfig, str]]:
    """Place and route ``chosen(rows, most_luts)`` into ``path``, up to ``count`` rows in all.

    Failures are not made up for by other configurations. The other arguments and the result are
    those of measuring.measure_all. Raises UserError for a bad file or if nextpnr or Yosys is
    missing, OSError when the file cannot be written.
    """
    nextpnr.find()
    store = RowStore(path, timing_data.LAYOUT)
    return measuring.measure_all(
        chosen(rows, most_luts), store, count, jobs, progress, measure_one,
        lambda found: store.add(found.row), refresh=refresh, retry=retry,
    )  # fmt: skip
