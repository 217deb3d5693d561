"""Synthesise sampled configurations and append them to the data set.

``python -m codesign.cost.characterize --count 160 --jobs 2 --max-luts 45000``

Until the file holds ``--count`` configurations. Those that it holds already are not synthesised
again, so a killed run goes on where it was. A synthesis that fails is reported and left out, the
run goes on, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
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


def measure(config: NpuConfig) -> Row:
    """Emit and synthesise one configuration. Raises YosysError."""
    verilog = emit.verilog(config)
    text = "".join(f"{name}\n{content}" for name, content in sorted(verilog.items()))
    result = synth.synthesise(verilog, dsps=config.multiplier == "dsp")
    found = result.figures.to_dict()
    return Row(
        config=config,
        **{name: found[name] for name in dataset.MEASURED},
        rtl_hash=hashlib.sha256(text.encode()).hexdigest()[:12],
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
) -> list[tuple[NpuConfig, str]]:
    """Measure ``configs`` that ``path`` does not hold until it holds ``count`` rows.

    Every result is written as it comes.

    Returns the configurations that failed, each with the reason. Raises UserError for a bad file,
    OSError when it cannot be written.
    """
    rows = dataset.read(path) if path.exists() else []
    known = {row.config.hash for row in rows}
    missing = [config for config in configs if config.hash not in known]
    missing = missing[: max(count - len(rows), 0)]
    progress(f"{len(rows)} of {count} are known, {len(missing)} to do")
    failures: list[tuple[NpuConfig, str]] = []
    start = time.monotonic()
    outcomes = spread(functools.partial(_outcome, measure_one=measure_one), missing, jobs)
    for done, (config, found) in enumerate(outcomes, start=1):
        if isinstance(found, str):
            failures.append((config, found))
            progress(f"{done}/{len(missing)} {config.hash[:12]} failed: {found}")
            continue
        rows.append(found)
        dataset.write(path, rows)
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
    parser.add_argument("--data", type=Path, default=dataset.SHIPPED, help="the CSV to extend")
    options = parser.parse_args(arguments)
    configs = sample(options.count, options.max_luts, options.seed)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    failures = characterize(configs, options.data, options.count, options.jobs, logging.info)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
