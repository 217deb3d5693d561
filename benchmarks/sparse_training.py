"""Measure accuracy and remaining work of networks trained with sparsity, pruning or few 1-bits.

``python -m benchmarks.sparse_training [NETWORK ...] [--seeds 0 1 2] [--epochs N] [--json]``

Networks on scikit-learn's handwritten digits, trained as ``codesign train`` does, with the same
number of epochs for all. A seed gives the data split and the training; every figure is the median
over the seeds. Columns:

- validation, test: accuracy of the integer network, 0..1
- cycles: of one image, by the compiler
- weights: number of weights; zero_weights: fraction of them that is 0
- ones, ones_per_weight: 1-bits of the weights' magnitudes; per weight
- stored_ones_per_weight: 1-bits of the weights in two's complement, per weight
- zero_words: fraction of the weight words (one digit of a block of weights) that is all zero
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from codesign import design as designs
from codesign.build import pipeline
from codesign.build.evaluation import evaluate
from codesign.compiler import minimal_depths
from codesign.design import Design
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.integer.bits import total
from models.integer.lower import shape_only
from models.quantisation.sparsity import Sparsity

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits_tiny.yaml"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way to train: pattern, price on 1-bits, shares of pruned blocks and digits."""

    name: str
    sparsity: Sparsity | None = None
    boo: float = 0.0
    """Price on the 1-bits of the weights; 0: none."""
    zero_blocks: float = 0.0
    """Share of the weight blocks that become zero, wherever they lie."""
    skip_blocks: float = 0.0
    """Share of them that become zero around a box, so that the compiler can leave them out."""
    skip_digits: float = 0.0
    """Share of the tiles of output channels with one weight digit less."""


VARIANTS = (
    Variant("dense"),
    Variant("4:8", Sparsity(4, 8)),
    Variant("2:4", Sparsity(2, 4)),
    Variant("1:4", Sparsity(1, 4)),
    Variant("one-bits x 1", boo=1.0),
    Variant("one-bits x 4", boo=4.0),
    Variant("one-bits x 16", boo=16.0),
    Variant("2:4, one-bits x 4", Sparsity(2, 4), boo=4.0),
    Variant("25 % zero blocks", zero_blocks=0.25),
    Variant("50 % zero blocks", zero_blocks=0.5),
    Variant("75 % zero blocks", zero_blocks=0.75),
    Variant("25 % skipped blocks", skip_blocks=0.25),
    Variant("50 % skipped blocks", skip_blocks=0.5),
    Variant("75 % skipped blocks", skip_blocks=0.75),
    Variant("50 % skipped digits", skip_digits=0.5),
    Variant("all skipped digits", skip_digits=1.0),
    Variant("50 % blocks, 50 % digits", skip_blocks=0.5, skip_digits=0.5),
)


def _network(name: str, *channels: int) -> NetworkGraph:
    first, second, third = (
        Conv2d(count, (3, 3), padding=(1, 1), batch_norm=True, relu=True) for count in channels
    )
    pool = MaxPool((2, 2), (2, 2))
    return sequential(name, (1, 8, 8), first, second, pool, third, pool, Linear(10))


def _design(name: str, *channels: int) -> Design:
    """Return a design with the example's bits and array for another network.

    The memories hold it, and a program with all work left out that zero weights allow.
    """
    example = designs.load(EXAMPLE)
    graph = _network(name, *channels)
    shapes = shape_only(graph, example.quantisation, example.npu.scale_bits)
    npu = dataclasses.replace(example.npu, accumulator_bits=24)
    npu = dataclasses.replace(npu, **{**minimal_depths(shapes, npu), "program_depth": 1024})
    return dataclasses.replace(example, name=name, network=graph, npu=npu)


NETWORKS: dict[str, Callable[[], Design]] = {
    "digits_tiny": lambda: designs.load(EXAMPLE),
    "digits_wide": lambda: _design("digits_wide", 16, 32, 32),
}


def measure(base: Design, variant: Variant, seed: int, epochs: int | None) -> dict[str, float]:
    """Train once; return accuracies, cycles of the compiled program and counts of the weights."""
    spec = dataclasses.replace(base.quantisation.default, sparsity=variant.sparsity)
    quantisation = dataclasses.replace(base.quantisation, default=spec)
    design = dataclasses.replace(base, seed=seed, quantisation=quantisation)
    dataset = pipeline.dataset_of(design, None)
    pruned = (variant.zero_blocks, variant.skip_blocks, variant.skip_digits)
    settings = pipeline.settings_of(design, dataset, epochs, variant.boo, *pruned)
    trained = pipeline.train_design(design, dataset, settings)
    lowered = pipeline.lower_design(design, trained)
    bits = total(pipeline.weight_bits(design, trained).values())
    return {
        **evaluate(lowered.integer, dataset).shares,
        "cycles": lowered.compiled.plan.cycles,
        "weights": bits.weights,
        "zero_weights": bits.zero_weights / bits.weights,
        "ones": bits.ones,
        "ones_per_weight": bits.ones_per_weight,
        "stored_ones_per_weight": bits.stored_ones / bits.weights,
        "zero_words": bits.zero_words / bits.words,
    }


def rows(base: Design, seeds: list[int], epochs: int | None) -> Iterator[dict[str, object]]:
    """Yield a row for each variant: the median of every figure over the seeds."""
    for variant in VARIANTS:
        runs = [measure(base, variant, seed, epochs) for seed in seeds]
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        yield {"network": base.name, "variant": variant.name, **medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--epochs", type=int, help="default: as codesign train")
    parser.add_argument("--json", action="store_true", help="one object a row")
    options = parser.parse_args()
    unknown = sorted(set(options.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"NETWORK must be one of {', '.join(NETWORKS)}, not {', '.join(unknown)}")
    for name in options.networks or NETWORKS:
        for row in rows(NETWORKS[name](), options.seeds, options.epochs):
            if options.json:
                print(json.dumps(row), flush=True)
                continue
            print(
                "{network:12} {variant:24} {validation:7.2%} {test:7.2%} {ones:7,.0f} one-bits "
                "{ones_per_weight:5.2f} a weight {zero_weights:6.1%} of weights and "
                "{zero_words:6.1%} of words zero {cycles:,.0f} cycles".format(**row),
                flush=True,
            )


if __name__ == "__main__":
    main()
