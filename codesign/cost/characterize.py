"""Synthesise sampled configurations and append them to the data set.

``python -m codesign.cost.characterize --count 160 --jobs 2 --max-luts 45000``

Until the file holds ``--count`` configurations. Those that it holds already are not synthesised
again, so a killed run goes on where it was. A synthesis that fails is reported and left out, the
run goes on, and the exit status is 1. After a change of the generator ``--refresh`` measures the
rows again whose Verilog is another one now.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codesign import synth
from codesign.cost import dataset
from codesign.cost.dataset import Row
from codesign.cost.sampling import sample
from codesign.workers import spread
from codesign.yosys import YosysError
from rtl_gen import emit
from rtl_gen.config import NpuConfig

Progress = Callable[[str], None]


def rtl_hash(verilog: Mapping[str, str]) -> str:
    """Of the files by name, but for comments and the order of statements, which Yosys takes from
    other modules: the first 12 hexadecimal digits of their SHA-256."""
    text = ""
    for name, content in sorted(verilog.items()):
        lines = (line for line in content.splitlines() if not line.lstrip().startswith("//"))
        text += "\n".join((name, *sorted(lines), ""))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _current(row: Row) -> tuple[str, bool]:
    """Hash of the configuration; whether today's generator writes the Verilog that was measured."""
    return row.config.hash, rtl_hash(emit.verilog(row.config)) == row.rtl_hash


def measure(config: NpuConfig) -> Row:
    """Emit and synthesise one configuration. Raises YosysError."""
    verilog = emit.verilog(config)
    result = synth.synthesise(verilog, dsps=config.uses_dsps)
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
    there. Every result is written as it comes.

    Returns the configurations that failed, each with the reason. Raises UserError for a bad file,
    OSError when it cannot be written.
    """
    rows = {row.config.hash: row for row in (dataset.read(path) if path.exists() else [])}
    missing = [config for config in configs if config.hash not in rows]
    missing = missing[: max(count - len(rows), 0)]
    if refresh:
        current = dict(spread(_current, list(rows.values()), jobs))
        old = [row.config for row in rows.values() if not current[row.config.hash]]
        progress(f"{len(old)} of {len(rows)} were measured with other Verilog than today's")
        missing = [*old, *missing]
    progress(f"{len(rows)} of {count} are known, {len(missing)} to do")
    failures: list[tuple[NpuConfig, str]] = []
    start = time.monotonic()
    outcomes = spread(functools.partial(_outcome, measure_one=measure_one), missing, jobs)
    for done, (config, found) in enumerate(outcomes, start=1):
        if isinstance(found, str):
            failures.append((config, found))
            progress(f"{done}/{len(missing)} {config.hash[:12]} failed: {found}")
            continue
        rows[config.hash] = found
        dataset.write(path, rows.values())
        left = (time.monotonic() - start) / done * (len(missing) - done)
        progress(
            f"{done}/{len(missing)} {found.luts:g} LUTs in {found.seconds:.0f} s; "
            f"{left / 60:.0f} min left"
        )
    return failures


def _outcome(
    config: NpuConfig, measure_one: Callable[[NpuConfig], Row]
) -> tuple[NpuConfig, Row | str]:
    """The measurement, or why there is none."""
    try:
        return config, measure_one(config)
    except YosysError as error:
        return config, str(error)


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
