"""Measure the errors of the cost models on NPUs that they were not fitted to.

``python -m benchmarks.cost_models [--json] [--seeds N] [--plot FILE.svg]``

From the shipped data, without synthesis, in some minutes: area and clock, then accuracy
(benchmarks.accuracy) and cycles (benchmarks.throughput). Splits keep families together (NPUs of the
same array hardware: lanes, bits, digit, multiplier, sparsity); figures are medians over the seeds
of the splits. Every row has a figure and a model, "composed" being the shipped kind. Columns:

- rows: configurations in the comparison
- mape, p90: mean and 90 % quantile of the relative error, 0..1
- r2, tau: coefficient of determination, Kendall's rank correlation
- exact: fraction of the rows whose count is exact
- coverage, width: fraction of the rows inside their 90 % interval; its mean width / value
- confidence, budget, decisions: setting of the budget test, LUT budget, designs within 10 % of it
- false_prune, false_keep: fraction of the designs within the budget that the test drops, and of
  those beyond it that it keeps
- ratio: median of estimate / synthesis; largest_seen: LUTs of the largest NPU fitted to
- median_seconds, total_hours: what synthesis, or place and route, of the data took
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import throughput
from benchmarks.cost_models import plots, timing
from benchmarks.cost_models.baselines import ARRAY_BLOCKS, iccad2019_luts, predictors
from codesign.cost.area import dsps
from codesign.cost.area.blocks import RESOURCES, memory_counts
from codesign.cost.area.evaluation import Trial, each_value, errors, predicted
from codesign.cost.data import config_csv, dataset, module_data, timing_data
from codesign.cost.data.dataset import Row
from codesign.cost.data.module_data import ModuleRow
from codesign.cost.data.timing_data import TimingRow
from codesign.cost.regressors import grouped
from codesign.cost.table import ConfigTable
from codesign.results import AREA_CONFIDENCE
from codesign.search.accuracy import study_data
from codesign.search.accuracy.evaluation import DATASETS, Study, report

SEEDS = 5
"""Random splits that figures are medians over."""
BUDGETS = (10_000, 20_000, 30_000)
CONFIDENCES = (0.5, AREA_CONFIDENCE, 0.9, 0.95)
FAMILIES = ("lanes", "weight_digit_bits", "sparsity", "multiplier")


def rows(trials: Mapping[str, Trial], data: Sequence[Row], seeds: int) -> Iterator[dict[str, Any]]:
    """Yield all figures of area and clock, one object each."""
    luts = trials["luts"]
    for name, predictor in predictors(luts).items():
        runs = [
            errors(
                predicted(grouped(luts.groups, seed), predictor, len(data)), luts.measured.totals
            )
            for seed in range(seeds)
        ]
        yield {"figure": "luts, unseen families", "model": name, **_median(runs)}
    yield _iccad(luts)
    for resource in ("ffs", "lutrams"):
        trial = trials[resource]
        runs = [trial.errors(grouped(trial.groups, seed)) for seed in range(seeds)]
        yield {"figure": f"{resource}, unseen families", "model": "composed", **_median(runs)}
    for knob in FAMILIES:
        found = luts.errors(each_value(getattr(luts.table, knob)))
        yield {"figure": f"luts, each {knob} left out", "model": "composed", **found}
    yield _extrapolation(luts)
    yield from _counted(data)
    for resource, trial in trials.items():
        intervals = [trial.coverage(seed) for seed in range(seeds)]
        yield {"figure": f"{resource}, 90 % interval", "model": "composed", **_median(intervals)}
    decisions = [list(luts.decisions(seed, BUDGETS, CONFIDENCES)) for seed in range(seeds)]
    for same in zip(*decisions, strict=True):
        yield {"figure": "luts, budget test", "model": "composed", **_median(same)}
    yield from timing.rows(load_timing(), seeds, _median)
    seconds = [row.seconds for row in data]
    yield {
        "figure": "synthesis", "model": "yosys", "rows": len(data),
        "median_seconds": float(np.median(seconds)), "total_hours": sum(seconds) / 3600,
    }  # fmt: skip


def _median(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.median([run[name] for run in runs])) for name in runs[0]}


def _iccad(trial: Trial) -> dict[str, Any]:
    """Return the errors of the ICCAD 2019 model for arrays whose products are in LUTs."""
    assert trial.measured.by_block is not None
    lut = trial.table.lut == 1
    array = np.sum([trial.measured.by_block[name] for name in ARRAY_BLOCKS], axis=0)[lut]
    return {
        "figure": "luts of the array", "model": "ICCAD 2019 multiplier table",
        **errors(iccad2019_luts(trial.table)[lut], array),
        "ratio": float(np.median(iccad2019_luts(trial.table)[lut] / array)),
    }  # fmt: skip


def _extrapolation(trial: Trial) -> dict[str, Any]:
    """Return the errors of a model fitted to the smaller NPUs, on NPUs up to twice as large."""
    totals = trial.measured.totals
    small = totals <= totals.max() / 2
    split = iter([(np.flatnonzero(small), np.flatnonzero(~small))])
    return {
        "figure": "luts, up to twice the largest", "model": "composed", **trial.errors(split),
        "largest_seen": float(totals[small].max()),
    }  # fmt: skip


def _counted(data: Sequence[Row]) -> Iterator[dict[str, Any]]:
    table = ConfigTable.of([row.config for row in data])
    for name, counts in (("brams", memory_counts(table).brams), ("dsps", dsps.dsp_count(table))):
        truth = np.array([getattr(row, name) for row in data])
        exact = float(np.mean(counts == truth))
        yield {"figure": name, "model": "counted", "rows": len(data), "exact": exact}


def others() -> Iterator[dict[str, Any]]:
    """Yield the rows of benchmarks.accuracy and benchmarks.throughput in the same form."""
    for dataset_name in DATASETS:
        for row in report(Study.load(dataset_name, study_data.SHIPPED)):
            source = row.pop("source")
            yield {"figure": f"accuracy, {row.pop('dataset')}", "model": source, **row}
    for row in throughput.rows(throughput.DESIGNS, runs=3):
        step, space = row.pop("step"), row.pop("space")
        yield {"figure": f"speed of {step}, {space}", "model": "batches", **row}


def _show(row: Mapping[str, Any]) -> str:
    shares = {"mape", "p90", "exact", "coverage", "width", "false_prune", "false_keep"}
    parts = [
        f"{name} {100 * value:.2f} %" if name in shares
        else f"{name} {value:,.4g}" if isinstance(value, float)
        else f"{name} {value}"
        for name, value in row.items()
        if name not in ("figure", "model")
    ]  # fmt: skip
    return f"{row['figure']:28} {row['model']:28} {', '.join(parts)}"


def load() -> tuple[list[Row], list[ModuleRow]]:
    """Return the shipped synthesis data: whole NPUs and their modules."""
    return config_csv.of_one_tool(dataset.read()), module_data.read(module_data.beside())


def load_timing() -> list[TimingRow]:
    """Return the shipped place and route data."""
    return config_csv.of_one_tool(timing_data.read(timing_data.beside()))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"of splits (default: {SEEDS})")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the model card's plots")
    options = parser.parse_args(arguments)
    data, modules = load()
    trials = {name: Trial(data, modules, name) for name in RESOURCES}
    for row in itertools.chain(rows(trials, data, options.seeds), others()):
        print(json.dumps(row) if options.json else _show(row), flush=True)
    if options.plot:
        options.plot.write_text(plots.draw(trials["luts"]))


if __name__ == "__main__":
    main()
