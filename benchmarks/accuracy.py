"""Measure how well accuracy is predicted before training, on shipped tables of trained networks.

``python -m benchmarks.accuracy [--json] [--data FOLDER] [--plot FILE.svg]``

Nothing is trained. One row per data set and source: a zero-cost proxy, a figure of the supernet, or
a predictor (cross-validated, see codesign.search.accuracy.evaluation). "validation accuracy" and
"second training" show the limit that noise sets; "table" is the speed of the lookup table. Columns:

- networks: networks in the comparison
- tau, tau_upper_half: Kendall's rank correlation with the test accuracy of networks trained from
  scratch; of the better half of them
- tau_least: lowest tau of the repetitions (predictors only, as the next two)
- mean_absolute_error: of the accuracy, 0..1
- coverage: fraction of test accuracies inside the 90 % prediction interval
- networks_per_second: predictions per second of processor time, one thread
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from codesign.search.accuracy import study_data
from codesign.search.accuracy.evaluation import DATASETS, Study, held_out, report
from codesign.search.accuracy.features import FEATURES
from models.files.writing import atomic_file

BATCH = 4096
"""Networks predicted at a time when the speed is measured."""


def networks_per_second(study: Study) -> float:
    """Return predictions per second of processor time by the lookup table, from features on."""
    table = study.predictor("closed-form").table()
    features = np.resize(study.inputs(FEATURES), (BATCH, len(FEATURES)))
    with threadpool_limits(1):
        table.predict(features)
        start = time.process_time()
        for _ in range(20):
            table.predict(features)
    return 20 * BATCH / (time.process_time() - start)


def plot(studies: list[Study], path: Path) -> None:
    """Draw predicted over measured test accuracy, with 90 % intervals, as an SVG file.

    By the predictor "combined", one repetition of the cross-validation.
    """
    side, gap = 300, 60
    width = len(studies) * (side + gap) + gap
    parts = []
    for index, study in enumerate(studies):
        found = held_out(study, "combined", 0)
        low = float(min(study.test.min(), found.accuracy.min()))
        left = gap + index * (side + gap)

        def place(value: float, low: float = low) -> float:
            return side * (value - low) / (1 - low)

        parts.append(f'<g transform="translate({left},30)">')
        parts.append(f'<rect width="{side}" height="{side}" fill="none" stroke="#888"/>')
        parts.append(f'<path d="M0 {side}L{side} 0" stroke="#bbb"/>')
        for x, y, down, up in zip(study.test, found.accuracy, found.low, found.high, strict=True):
            column, ends = place(x), [side - max(place(end), 0) for end in (down, up)]
            parts.append(
                f'<path d="M{column:.1f} {ends[0]:.1f}V{ends[1]:.1f}" stroke="#9bd"/>'
                f'<circle cx="{column:.1f}" cy="{side - place(y):.1f}" r="3" fill="#136"/>'
            )
        parts.append(f'<text y="-10">{study.dataset}: predicted over test accuracy</text>')
        parts.append(f'<text y="{side + 16}">{low:.0%}</text>')
        parts.append(f'<text x="{side}" y="{side + 16}" text-anchor="end">100%</text></g>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {side + gap}" '
    text = head + 'font-family="sans-serif" font-size="12">' + "\n".join(parts) + "</svg>\n"
    with atomic_file(path) as file:
        file.write(text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=study_data.SHIPPED, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="one object a row")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    options = parser.parse_args()
    studies = [Study.load(dataset, options.data) for dataset in DATASETS]
    for study in studies:
        speed = {
            "dataset": study.dataset,
            "source": "table",
            "networks_per_second": networks_per_second(study),
        }
        for row in (*report(study), speed):
            if options.json:
                print(json.dumps(row), flush=True)
                continue
            figures = (f"{k} {v:,.3g}" for k, v in row.items() if isinstance(v, float | int))
            print(f"{row['dataset']:14} {row['source']:26}", "  ".join(figures), flush=True)
    if options.plot:
        plot(studies, options.plot)


if __name__ == "__main__":
    main()
