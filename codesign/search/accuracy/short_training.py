"""Proxy training (short training): accuracy of a network after a few epochs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.results import UserError
from codesign.search.space.accumulators import kept_bits
from codesign.search.space.genome import Genome, Ints, network_key
from codesign.search.trials import Proposal
from models.data.datasets import Dataset, Split
from models.errors import DivergedError
from models.files.reading import quoted
from models.graph.network import NetworkGraph
from models.integer.bits import network_bits, total
from models.quantisation.accumulators import Accumulator
from models.quantisation.plan import Quantisation
from models.training.choices import TrainingChoices, large_images, largest_batch
from models.training.history import Epoch, to_list

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork

DEFAULT_CHOICES = TrainingChoices()
MODULES = ("models.training.loop", "torch._dynamo")
"""Modules that trainings need and that take seconds to import; any optimizer of torch imports the
second one."""
SMALL_SET = 1000
"""Number of training images below which a network may see each of them more often."""
LONG = 8
"""Times the usual work from which training large images is compiled, and normalises by batches for
LONG_NORM_SHARE of the quantised epochs: compiling takes longer than a short one."""
MOST_REPEATS = 2
"""Most times that a short training that diverged is repeated."""
LONG_NORM_SHARE = 0.75
_ADDED = {"compile": "never", "norm_share": 0.0}
"""Settings that proposals of before do not name, as they were then."""


@dataclass(frozen=True)
class ShortTraining:
    """Settings of proxy training (low-fidelity evaluation), the same for all networks compared.

    >>> ShortTraining(epochs=4, train_images=4000, validation_images=1000, seed=0).boo
    0.0
    """

    epochs: int
    train_images: int
    """Images drawn from the training split by ``seed``, at most all of them."""
    validation_images: int
    """Images drawn from the validation split by ``seed``, at most all of them."""
    seed: int
    boo: float = 0.0
    """Weight of the 1-bits of the weights in the loss (TrainSettings.boo)."""
    training: TrainingChoices = DEFAULT_CHOICES
    compile: str = "never"
    norm_share: float = 0.0
    """Compilation, and the share of quantised epochs with batch norms (TrainSettings)."""

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        seed: int,
        boo: float = 0.0,
        training: TrainingChoices = DEFAULT_CHOICES,
    ) -> ShortTraining:
        """Return settings for a data set by which a network sees up to 20,000 images in all.

        These are 4 to 14 epochs of 5,000 images, or of all where the data set has fewer; a set of
        fewer than ``SMALL_SET`` images may be seen up to 60 times.
        """
        images = min(len(dataset.train), 5000)
        return cls(
            epochs=min(max(16000 // images, 4), 14 if images >= SMALL_SET else 60),
            train_images=images,
            validation_images=min(len(dataset.validation), 2000),
            seed=seed,
            boo=boo,
            training=training,
        )

    def longer(self, effort: int, dataset: Dataset) -> ShortTraining:
        """Return settings by which a network of ``dataset`` sees about ``effort`` times the images.

        More images come before more epochs. The accuracy is over as many times the validation
        images, where there are so many. effort: 1 or more (not checked).
        """
        seen = effort * self.epochs * self.train_images
        images = min(len(dataset.train), effort * self.train_images)
        long = effort >= LONG and large_images(dataset)
        return dataclasses.replace(
            self,
            compile="auto" if long else self.compile,
            norm_share=LONG_NORM_SHARE if long else self.norm_share,
            epochs=max(seen // images, 1),
            train_images=images,
            validation_images=min(len(dataset.validation), effort * self.validation_images),
        )

    @property
    def told(self) -> str:
        """Words for what happens to a network before its accuracy is taken."""
        return f"after {self.epochs} epochs"

    def seconds_an_epoch(self, seconds: float, images: int) -> float:
        """Return the time of an epoch of so many images; seconds: of the short training."""
        return seconds / (self.epochs * self.train_images) * images

    def subset(self, dataset: Dataset) -> Dataset:
        """Return the images of ``dataset`` that proxy training uses, as ``drawn`` does."""
        return drawn(dataset, self.train_images, self.validation_images, self.seed)


def drawn(dataset: Dataset, train_images: int, validation_images: int, seed: int) -> Dataset:
    """Return at most so many images of ``dataset``, which is not changed, drawn by ``seed``.

    The test split and the sha256 of the result are empty.
    """
    random = np.random.default_rng([seed, 2])

    def take(split: Split, count: int) -> Split:
        if count >= len(split):
            return split
        return split.take(np.sort(random.permutation(len(split))[:count]))

    empty = dataset.test.take(np.empty(0, dtype=np.int64))
    train = take(dataset.train, train_images)
    validation = take(dataset.validation, validation_images)
    return dataclasses.replace(dataset, train=train, validation=validation, test=empty, sha256="")


@dataclass(frozen=True)
class TrainingTask:
    """Network to train; ``key`` identifies it in the results.

    >>> from models.graph.layers import Input, Linear
    >>> from models.graph.network import Layer
    >>> layers = [Layer("image", Input((1, 8, 8))), Layer("classifier", Linear(10), ("image",))]
    >>> graph = NetworkGraph("small", layers)
    >>> task = TrainingTask("small", graph, Quantisation(), scale_bits=8)
    """

    key: str
    graph: NetworkGraph
    quantisation: Quantisation
    scale_bits: int
    """Bits of the requantisation multipliers (NpuConfig.scale_bits)."""
    accumulator: Accumulator | None = None
    """Accumulators that the training keeps to; None: any (TrainSettings.accumulator)."""
    keep: Path | None = None
    """File that ``train_one`` saves the trained network to, in an existing folder; None: none."""


@dataclass(frozen=True)
class Outcome:
    """Result of one proxy training. Made by ``train_one``."""

    key: str
    accuracy: float
    """Accuracy on the validation images, 0..1."""
    seconds: float
    """Duration of the training in seconds of wall-clock time."""
    one_bits: int
    """1-bits of all weights in sign-magnitude form (models.integer.bits)."""
    history: tuple[Epoch, ...] = ()
    """Learning curve."""
    repeats: int = 0
    """Times that it diverged, and was repeated at a quarter of the learning rate."""


def trained_network(
    task: TrainingTask, dataset: Dataset, how: ShortTraining
) -> tuple[TrainedNetwork, int]:
    """Train a network on ``dataset``, which is ``how.subset`` of the full one, on one thread.

    Returns with it Outcome.repeats. Raises DivergedError if the last of MOST_REPEATS diverges, too.
    """
    from models.training.loop import train
    from models.training.schedule import TrainSettings, calmer  # torch takes seconds to import

    settings = TrainSettings(
        epochs=how.epochs, compile=how.compile, scale_bits=task.scale_bits, threads=1,
        accumulator=task.accumulator,
        seed=how.seed, boo=how.boo, batch_size=min(64, largest_batch(len(dataset.train))),
        augmentation=how.training.augmentation(dataset), norm_share=how.norm_share,
        class_weights=how.training.loss_weights(dataset),
        bfloat16=bool(how.training.bfloat16),
    )  # fmt: skip
    for repeats in range(MOST_REPEATS):
        try:
            return train(task.graph, task.quantisation, dataset, settings), repeats
        except DivergedError:
            settings = calmer(settings)
    return train(task.graph, task.quantisation, dataset, settings), MOST_REPEATS


def train_one(task: TrainingTask, dataset: Dataset, how: ShortTraining) -> Outcome:
    """Train and evaluate a network on ``dataset``, which is ``how.subset`` of the full one."""
    from models.integer.lower import lower

    start = time.monotonic()
    trained, repeats = trained_network(task, dataset, how)
    seconds = time.monotonic() - start
    if task.keep is not None:
        trained.save(task.keep)
    _, integer = lower(trained, task.scale_bits)
    bits = network_bits(integer, {}, 1)
    ones = total(bits.values()).ones
    return Outcome(task.key, trained.validation_accuracy, seconds, ones, trained.history, repeats)


@dataclass(frozen=True, eq=False)
class ShortTrainer:
    """Evaluation of proposals (codesign.search.crew) by short trainings, the same in any process.

    Made by ``explore`` and ``codesign worker``.
    """

    space: Genome
    dataset: Dataset
    """The part of the data set that ``how.subset`` returns."""
    how: ShortTraining
    keep: Callable[[str], Path | None] = lambda key: None
    """Network's key -> file for its weights (TrainingTask.keep)."""
    train: Callable[[TrainingTask, Dataset, ShortTraining], Outcome] = dataclasses.field(
        default_factory=lambda: train_one
    )

    def __call__(self, proposal: Proposal) -> dict[str, Any]:
        """Train a network; return its accuracy, one-bits, learning curve and the time it took.

        Raises UserError for a proposal that is damaged, or of another space or training.
        """
        outcome = self.train(self._task(proposal), self.dataset, self.how)
        return {
            "validation_accuracy": outcome.accuracy,
            "one_bits": outcome.one_bits,
            "seconds": round(outcome.seconds, 2),
            "history": to_list(outcome.history),
            **({"repeats": outcome.repeats} if outcome.repeats else {}),
        }

    def _task(self, proposal: Proposal) -> TrainingTask:
        candidate = candidate_of(proposal, self.space, self.how)
        graph, quantisation = self.space.network(candidate)
        scale_bits = int(self.space.integers(candidate[None], "scale_bits")[0])
        kept = int(kept_bits(self.space, candidate[None], self.space.layers(candidate[None]))[0])
        accumulator, keep = Accumulator(kept) if kept else None, self.keep(proposal.key)
        return TrainingTask(proposal.key, graph, quantisation, scale_bits, accumulator, keep)


def candidate_of(proposal: Proposal, space: Genome, how: Any) -> Ints:
    """Return the candidate (genes,) that a proposal asks for.

    how: settings of the trials, a dataclass. Raises UserError for a proposal that is damaged, or of
    another space or other settings.
    """
    genes, sizes = proposal.attributes.get("candidate"), space.sizes
    stored, settings = proposal.attributes.get("training"), dataclasses.asdict(how)
    before = {name: value for name, value in _ADDED.items() if name in settings}
    same = isinstance(stored, dict) and before | stored == settings
    if not (
        same
        and isinstance(genes, list)
        and len(genes) == len(sizes)
        and all(type(g) is int and 0 <= g < n for g, n in zip(genes, sizes, strict=True))
        and network_key(space, candidate := np.array(genes, np.int64)) == proposal.key
    ):
        raise UserError(f"trial {quoted(proposal.key)} is damaged, or of another space or training")
    return candidate
