"""Measure what each choice of the training recipe is worth to a network of few bits.

``python -m benchmarks.training.effects DATA [--epochs N] [--out F] [--teacher FILE] [--only ROW]``

DATA: a data set of colour images of 32 x 32 pixels and 10 classes, as CIFAR-10, by name or path.
One network (11.6 million products, weights and activations of 2 bits) is trained once a row, every
row the base recipe but for one choice; the test split is not looked at. F (JSON lines) gets each
row when it is done, and rows that it holds are not trained again; a row that is interrupted goes on
from its checkpoint beside F. ``--teacher``: a file of ``codesign train``. Columns:

- float, validation: accuracy, 0..1, at the end of the floating-point phase and of training
- train: accuracy on the changed training images in the last epoch
- float_ms, norm_ms, exact_ms: processor time per 1,000 images in the three phases, median epoch
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.data import datasets
from models.data.augmentation import Augmentation
from models.data.datasets import Dataset
from models.files import writing
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.loop import train
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork

BASE = TrainSettings(
    epochs=12, batch_size=250, optimizer="sgd", learning_rate=0.2, weight_decay=5e-4,
    label_smoothing=0.1, augmentation=Augmentation(2, 2, mirror=True), float_share=0.4,
    norm_share=0.85, average_epochs=1.0, bfloat16=True, threads=1,
)  # fmt: skip
CHANGES: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "AdamW": {"optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.02},
    "one-cycle": {"schedule": "one_cycle"},
    "weights not averaged": {"average_epochs": 0.0},
    "batch norms folded at once": {"norm_share": 0.0},
    "12 % of the epochs in floating point": {"float_share": 0.12},
    "labels not smoothed": {"label_smoothing": 0.0},
    "less decay": {"weight_decay": 1e-4},
    "images not changed": {"augmentation": Augmentation()},
    "shifts up to 4": {"augmentation": Augmentation(4, 4, mirror=True)},
    "cutout of 8": {"augmentation": Augmentation(2, 2, mirror=True, cutout=8)},
    "float32": {"bfloat16": False},
    "not compiled": {"compile": "never"},
}
TEACHER = "with a teacher"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.effects")
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=BASE.epochs)
    parser.add_argument("--out", type=Path, default=Path("effects.jsonl"))
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--only", nargs="*", choices=[*CHANGES, TEACHER], help="rows; default: all")
    args = parser.parse_args(argv)
    dataset = datasets.load(args.data)
    changes = dict(CHANGES) | ({TEACHER: {}} if args.teacher else {})
    lines = args.out.read_text().splitlines() if args.out.exists() else []
    rows = [json.loads(line) for line in lines]
    for name, change in changes.items():
        if name in (row["change"] for row in rows) or (args.only and name not in args.only):
            continue
        settings = dataclasses.replace(BASE, epochs=args.epochs, **change)
        teacher = TrainedNetwork.load(args.teacher) if name == TEACHER else None
        kept = args.out.with_name(f"{args.out.name}.{len(rows)}.checkpoint")
        rows.append({"change": name} | measured(dataset, settings, teacher, kept))
        kept.unlink()
        with writing.atomic_file(args.out) as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows).encode())
        print(json.dumps(rows[-1]), flush=True)


def measured(
    dataset: Dataset, settings: TrainSettings, teacher: TrainedNetwork | None, checkpoint: Path
) -> dict[str, float | None]:
    """Return the columns of a row (None: no epoch of the phase in this run of the program)."""
    spent: dict[int, float] = {}
    last = time.process_time()

    def epoch(done: int, total: int, loss: float, accuracy: float, left_s: float) -> None:
        nonlocal last
        spent[done - 1], last = time.process_time() - last, time.process_time()

    trained = train(
        network(), Quantisation(8, QuantSpec(2, 2), {"linear9": QuantSpec(4, 2)}), dataset,
        settings, teacher=teacher, checkpoint=checkpoint, progress=epoch,
    )  # fmt: skip
    history, floats, exact = trained.history, settings.float_epochs, settings.folded_from

    def each(first: int, end: int) -> float | None:
        times = [seconds for at, seconds in spent.items() if first <= at < end]
        scale = 1e6 / len(dataset.train)
        return round(statistics.median(times) * scale, 1) if times else None

    return {
        "float": history[floats - 1].accuracy if floats else None,
        "validation": trained.validation_accuracy,
        "train": history[-1].training_accuracy,
        "float_ms": each(1, floats),  # the first one has the compilation in it
        "norm_ms": each(floats + 1, exact),
        "exact_ms": each(exact, settings.epochs),
    }


def network() -> NetworkGraph:
    """Return the network, for images of 3 x 32 x 32 and 10 classes."""

    def conv(channels: int, stride: int = 1) -> Conv2d:
        return Conv2d(channels, (3, 3), (stride, stride), (1, 1), batch_norm=True, relu=True)

    pool = MaxPool((2, 2), (2, 2))
    layers = (conv(48, 2), conv(48), pool, conv(96), pool, conv(96), conv(144), pool, Linear(10))
    return sequential("fast", (3, 32, 32), *layers)


if __name__ == "__main__":
    main()
