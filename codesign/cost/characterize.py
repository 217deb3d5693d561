"""Synthesise sampled configurations and append them to the data set.

``python -m codesign.cost.characterize --count 160 --jobs 2 --max-luts 45000``

Until the file holds ``--count`` configurations. Those that it holds already are not synthesised
again, so a killed run goes on where it was. A synthesis that fails is reported and left out, the
run goes on, and the exit status is 1. After a change of the generator ``--refresh`` measures the
rows again whose Verilog is another one now.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import hashlib
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codesign import synth
from codesign.cost import dataset
from codesign.cost.dataset import Row
from codesign.cost.sampling import sample
from codesign.yosys import YosysError
from rtl_gen import emit
from rtl_gen.config import NpuConfig

Progress = Callable[[str], None]


def rtl_hash(verilog: Mapping[str, str]) -> str:
    """Of the files by name: the first 12 hexadecimal digits of their SHA-256."""
    text = "".join(f"{name}\n{content}" for name, content in sorted(verilog.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_current(row: Row) -> bool:
    """Whether today's generator writes the Verilog that was measured."""
    return rtl_hash(emit.verilog(row.config)) == row.rtl_hash


def measure(config: NpuConfig) -> Row:
    """Emit and synthesise one configuration. Raises YosysError."""
    verilog = emit.verilog(config)
    result = synth.synthesise(verilog, dsps=config.multiplier == "dsp")
    found = result.figures.to_dict()
    return Row(
        config=config,
        **{name: found[name] for name in dataset.MEASURED},
        rtl_hash=rtl_hash(verilog),
        tool=result.tool_version,
        date=datetime.date.today().isoformat(),
        seconds=result.seconds,
    )


def characterize(
    configs: Sequence[NpuConfig],
    path: Path,
    count: int,
    jobs: int,
    progress: Progress,
    measure_one: Callable[[NpuConfig], Row] = measure,
    *,
    refresh: bool = False,
) -> list[tuple[NpuConfig, str]]:
    """Measure ``configs`` that ``path`` does not hold until it holds ``count`` rows.

    refresh: first measure again what is not current; an old row stays until its successor is
    there. Every result is on disk when the next measurement starts.

    Returns the configurations that failed, each with the reason. Raises UserError for a bad file,
    OSError when it cannot be written.
    """
    rows = {row.config.hash: row for row in (dataset.read(path) if path.exists() else [])}
    # Spawned workers: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    missing = [config for config in configs if config.hash not in rows]
    missing = missing[: max(count - len(rows), 0)]
    if refresh:
        with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
            current = pool.map(is_current, rows.values())
            old = [row.config for row, same in zip(rows.values(), current, strict=True) if not same]
        progress(f"{len(old)} of {len(rows)} were measured with other Verilog than today's")
        missing = [*old, *missing]
    progress(f"{len(rows)} of {count} are known, {len(missing)} to do")
    failures: list[tuple[NpuConfig, str]] = []
    start = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = {pool.submit(measure_one, config): config for config in missing}
        for done, future in enumerate(concurrent.futures.as_completed(futures), start=1):
            config = futures[future]
            try:
                row = future.result()
            except YosysError as error:
                failures.append((config, str(error)))
                progress(f"{done}/{len(missing)} {config.hash[:12]} failed: {error}")
                continue
            rows[config.hash] = row
            dataset.write(path, rows.values())
            left = (time.monotonic() - start) / done * (len(missing) - done)
            progress(
                f"{done}/{len(missing)} {row.luts:g} LUTs in {row.seconds:.0f} s; "
                f"{left / 60:.0f} min left"
            )
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="codesign.cost.characterize", description=__doc__)
    parser.add_argument(
        "--count", type=int, default=160, help="configurations that the file shall hold"
    )
    parser.add_argument("--jobs", type=int, default=2, help="syntheses side by side")
    parser.add_argument("--max-luts", type=float, default=45000, help="analytic LUTs at most")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other configurations")
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="measure again what the generator now writes differently",
    )
    parser.add_argument("--data", type=Path, default=dataset.SHIPPED, help="the CSV to extend")
    options = parser.parse_args(arguments)
    configs = sample(options.count, options.max_luts, options.seed)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    failures = characterize(
        configs,
        options.data,
        options.count,
        options.jobs,
        logging.info,
        refresh=options.refresh,
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
