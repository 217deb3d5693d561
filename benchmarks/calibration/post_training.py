"""Measure what a float network loses by quantisation after training.

``python -m benchmarks.calibration.post_training FOLDER DATA [--data-dir DIR] [--json]``

FOLDER is a float network folder of ``codesign import``, DATA a data set as for ``codesign train``.
Nothing is trained. One row per choice of bits; test images have no part in any choice. Columns:

- weights, average: bits asked for (a range is given to layers by sensitivity), mean of a weight
- activations: bits
- validation, test: accuracy of the integer network, 0..1
- below_float: test accuracy of the float network less that of the row, in points
- seconds: of processor time, for the choice of bits and the calibration
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

from codesign.build.evaluation import PARTS, evaluate
from codesign.build.floats import float_accuracy, quantising, subjects
from codesign.build.floats.quantising import Bits
from codesign.build.floats.subjects import Subject
from codesign.cli.console import table
from codesign.design import DatasetSpec
from models.calibration import calibrating
from models.integer.lower import lower
from models.training.trained import TrainedNetwork

SCALE_BITS = 8
RANGE = (4, 5, 6, 7, 8)
CHOICES = (
    Bits(),
    Bits((6,)),
    Bits(RANGE, average=5.5),
    Bits(RANGE, average=4.5),
    Bits((4,)),
    Bits((8,), activations=4),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A network at one choice of bits; columns as the module says."""

    weights: str
    average: float
    activations: str
    validation: float
    test: float
    below_float: float
    seconds: float


def measure(subject: Subject, bits: Bits, float_test: float) -> Row:
    """Calibrate and evaluate the network; float_test: test accuracy in floating point."""
    start = time.process_time()
    quantisation, _ = quantising.choose_bits(subject, bits, bits.widest)
    trained: TrainedNetwork = calibrating.calibrate(
        subject.network, quantisation, subject.calibration.images, SCALE_BITS
    )
    seconds = time.process_time() - start
    _, integer = lower(trained, SCALE_BITS)
    shares = evaluate(integer, subject.dataset).shares
    low, high = min(bits.weights), max(bits.weights)
    return Row(
        f"{low}" if low == high else f"{low}..{high}",
        subject.average_bits(quantisation),
        str(bits.activations),
        shares["validation"],
        shares["test"],
        100 * (float_test - shares["test"]),
        seconds,
    )


def of_float(subject: Subject) -> Row:
    """Return the row of the float network."""
    stage = float_accuracy.of_float(subject, Bits().widest)
    validation, test = (stage.parts[part].share for part in PARTS)
    return Row("float", 32, "float", validation, test, 0, 0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = subjects.network_of(args.folder)
    subject = subjects.prepare(found, DatasetSpec(args.data), args.data_dir)
    rows = [of_float(subject)]
    for bits in CHOICES:
        rows.append(measure(subject, bits, rows[0].test))
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        return
    lines = [
        (
            row.weights, f"{row.average:.2f}", row.activations, f"{row.validation:.4f}",
            f"{row.test:.4f}", f"{row.below_float:.2f}", f"{row.seconds:.0f}",
        )
        for row in rows
    ]  # fmt: skip
    print(table([field.name for field in dataclasses.fields(Row)], lines))


if __name__ == "__main__":
    main()
