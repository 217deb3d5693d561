"""Place and route configurations of the synthesis data and append them to the timing data."""

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
"""Of the placer, for all rows: its luck is part of what the model cannot know."""


@dataclass(frozen=True)
class Placed:
    """One placed NPU."""

    row: TimingRow


def measure(config: NpuConfig, timeout_s: float = TIMEOUT_S) -> Placed:
    """Emit, synthesise, place and route one configuration. Raises ToolError."""
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
    """Configurations of the synthesis data of up to ``most_luts`` (of that family) that the device
    has room for, in an order that has nothing to do with them: that of their hashes."""
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
    """As measuring.measure_all, by place and route of ``chosen`` into the file ``path``.

    Raises UserError for a bad file or without nextpnr, OSError when it cannot be written.
    """
    nextpnr.find()
    store = RowStore(path, timing_data.LAYOUT)
    return measuring.measure_all(
        chosen(rows, most_luts), store, count, jobs, progress, measure_one,
        lambda found: store.add(found.row), refresh=refresh, retry=retry,
    )  # fmt: skip
