"""Synthesis of NPU configurations into the synthesis data set.

It is three CSV files: the NPUs, their modules (codesign.cost.data.module_data) and the failures.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.characterization import measuring
from codesign.cost.characterization.measuring import TIMEOUT_S, Progress
from codesign.cost.data import config_csv, dataset, module_data
from codesign.cost.data.dataset import Row
from codesign.cost.data.module_data import ModuleRow
from codesign.fpga import synthesis
from rtl_gen import emit
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class Measurement:
    """One synthesised NPU with its modules. Made by ``measure``."""

    row: Row
    modules: tuple[ModuleRow, ...]


def measure(config: NpuConfig, timeout_s: float = TIMEOUT_S) -> Measurement:
    """Generate the Verilog of one configuration and synthesise it for xc7.

    Raises YosysError if Yosys fails or takes more than ``timeout_s`` seconds, UserError if it is
    missing, OSError on a full disk.
    """
    verilog = emit.verilog(config)
    result = synthesis.synthesise(verilog, dsps=config.uses_dsps, timeout_s=timeout_s)
    found = result.figures.to_dict()
    row = Row(
        config=config,
        **{name: found[name] for name in dataset.MEASURED},
        rtl_hash=measuring.rtl_hash(verilog),
        tool=result.tool_version,
        date=datetime.date.today().isoformat(),
        seconds=result.seconds,
    )
    return Measurement(row, tuple(module_data.of(config.hash, result.by_module)))


class SynthesisStore(measuring.RowStore[Row]):
    """A synthesis data set on disk: NPUs, modules and failures. Raises UserError for a bad file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SynthesisStore(Path(folder) / "mine.csv")
    >>> store.modules_path.name, len(store.rows)
    ('mine_modules.csv', 0)
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, dataset.LAYOUT)
        self.modules_path = module_data.beside(path)
        self.modules: dict[str, list[ModuleRow]] = {}
        if self.modules_path.exists():
            for module in module_data.read(self.modules_path):
                self.modules.setdefault(module.config_hash, []).append(module)

    def add_measurement(self, found: Measurement) -> None:
        """Add a measurement to the files. Raises OSError.

        Modules are written before the row, so that a kill in between leaves no row without modules
        (but, when a row is replaced, modules that do not add up to the old one). Modules of
        configurations that have no row are left out.
        """
        self.modules[config_csv.short_hash(found.row.config)] = list(found.modules)
        held = {config_csv.short_hash(row.config) for row in (*self.rows.values(), found.row)}
        module_data.write(
            self.modules_path,
            [module for short, rows in self.modules.items() if short in held for module in rows],
        )
        self.add(found.row)


def characterize(
    configs: Sequence[NpuConfig],
    path: Path,
    count: int,
    jobs: int,
    progress: Progress,
    measure_one: Callable[[NpuConfig], Measurement] = measure,
    *,
    refresh: bool = False,
    retry: bool = False,
) -> list[tuple[NpuConfig, str]]:
    """Synthesise missing configurations into the data set ``path``, up to ``count`` rows in all.

    Failures are not made up for by other configurations. Arguments and result as in
    measuring.measure_all. Raises UserError for a bad file or if Yosys is missing, OSError when a
    file cannot be written.
    """
    store = SynthesisStore(path)
    return measuring.measure_all(
        configs, store, count, jobs, progress, measure_one, store.add_measurement,
        refresh=refresh, retry=retry,
    )  # fmt: skip
