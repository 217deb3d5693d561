"""Quantisation-aware training: floating point first, then folded and fake-quantised.

The kept epoch is chosen on the validation split; the test split is not used. What is learned, and
what the score of an epoch is, follows from the data's task (models.tasks). A run is determined by
graph, quantisation, data set and settings. It can be resumed from its checkpoint after each epoch,
with the same result as without the break (on the same number of threads).
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.data.datasets import Dataset
from models.errors import DivergedError, ModelError
from models.files.reading import printable
from models.graph.network import NetworkGraph
from models.graph.verifier import verify
from models.quantisation.plan import Quantisation
from models.tasks.kinds import TASKS
from models.training import checkpoint, losses, speed, units
from models.training.averaging import Average
from models.training.history import Epoch, worth_keeping
from models.training.losses import Start, ones_per_weight
from models.training.matching import check_changes, check_match, check_task
from models.training.narrowing import narrow, settle
from models.training.network import QuantNetwork
from models.training.pruning import Pruner
from models.training.schedule import TrainSettings, learning_rate, make_optimizer, pruned_share
from models.training.trained import TrainedNetwork, outputs

_NORM_IMAGES = 5000
"""Training images that batch norms' statistics are estimated on before they are folded."""
Progress = Callable[[int, int, float, float, float], None]
"""Callback after an epoch: (epochs done, epochs in all, mean training loss, validation score as of
history.Epoch, estimated seconds left)."""

_CALIBRATION_IMAGES = 256
"""Most training images that the quantisers' first scales are set on."""


def train(
    graph: NetworkGraph,
    quantisation: Quantisation,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    start: Start | None = None,
    teacher: TrainedNetwork | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> TrainedNetwork:
    """Train ``graph`` on ``dataset.train``; keep a fake-quantised epoch that is best on validation.

    It is the last of those within a standard error of the best, or of outputs that are no classes
    the best. start: a network of the same layers to train on; all epochs are fake-quantised then.
    teacher: a network of the same images and task whose answers are learned beside the labels; not
    used where ``start`` has one of its own. checkpoint: written after each epoch; an existing one
    of the same run is continued. Torch's random state and threads are as before afterwards. Raises
    ModelError: the graph is not sound, quantisation, settings or data set do not fit it, layers
    miss their zero blocks, or the checkpoint is damaged or another run's; DivergedError: the loss
    is not finite; OSError: the checkpoint cannot be written.
    """
    check_match(verify(graph), dataset)
    if teacher:
        check_match(teacher.graph, dataset)
        check_task("the teacher", teacher.task, dataset)
    check_changes(dataset, settings.augmentation, teacher is not None)
    if start:
        settings = dataclasses.replace(settings, float_share=0.0)
    run = _Run(graph, quantisation, dataset, settings, checkpoint, start, teacher)
    with torch.random.fork_rng(devices=[]), speed.threads(settings.threads):
        speed.keep_memory()
        run.prepare()
        run.work(progress)
    return run.result()


class _Run:
    """State of one training run between epochs."""

    def __init__(
        self,
        graph: NetworkGraph,
        quantisation: Quantisation,
        dataset: Dataset,
        settings: TrainSettings,
        path: Path | None,
        start: Start | None,
        teacher: TrainedNetwork | None,
    ) -> None:
        self.start, self.teacher = start, None if start and start.teacher else teacher
        self.graph, self.quantisation = graph, quantisation
        self.dataset, self.settings, self.path = dataset, settings, path
        identity = checkpoint.identity(graph, quantisation, dataset, settings)
        if start:
            identity = start.identity(identity)
        if self.teacher:
            identity = losses.identity(identity, self.teacher.network)
        self.identity = identity
        settings.augmentation.check(dataset.shape)
        self.task, options = TASKS[dataset.task], (settings.label_smoothing, settings.class_weights)
        self.lesson = self.task.lesson(dataset, graph.shapes[graph.output.name], *options)
        self.images = torch.from_numpy(dataset.train.images)
        self.targets = self.lesson.targets(dataset.train)
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    def prepare(self) -> None:
        """Build the network, and load the checkpoint if there is one.

        Raises ModelError as ``train`` does.
        """
        torch.manual_seed(self.settings.seed)
        bits, accumulator = self.settings.scale_bits, self.settings.accumulator
        self.network = QuantNetwork(self.graph, self.quantisation, bits, accumulator=accumulator)
        if self.start:
            norms = self.settings.folded_from > 0
            self.network.take(self.start.network, self._calibration_images, norms)
            units.learned(self.network, self.lesson.units, self.start.offset)
            self.start = units.with_teacher(self.start, self.lesson.units)
        self.wanted: Tensor | None = None
        if self.teacher:
            teacher = copy.deepcopy(self.teacher.network)
            units.learned(teacher, self.lesson.units, self.teacher.offset)
            mirror, bfloat16 = self.settings.augmentation.mirror, self.settings.bfloat16
            self.wanted = losses.teacher_logits(teacher, self.images, mirror, bfloat16)
        narrow(self.network, self.settings.narrow)
        self.pruner = Pruner(self.network, self.settings.pruning)
        stored = checkpoint.load_run(self.path, self.identity) if self.path else None
        if stored is not None:
            self.history = [Epoch(*epoch) for epoch in stored.history]
            self.best = stored.best
            folded = len(self.history) > self.settings.folded_from
            if self.start and folded:
                self.network.fold()
            elif not self.start and len(self.history) > self.settings.float_epochs:
                self.network.quantise(fold=folded)
            checkpoint.load_state(self.network, stored.network, self.path)
        self._start_phase()
        if stored is not None:
            if self.average:
                checkpoint.load_state(self.average.network, stored.average, self.path)
                self.average.done = self._steps * self._epochs_in_phase()
            try:
                self.optimizer.load_state_dict(stored.optimizer)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                message = f"{self.path}: does not fit its optimiser ({printable(error)})"
                raise ModelError(message) from None

    def work(self, progress: Progress | None) -> None:
        settings, start, first = self.settings, time.monotonic(), len(self.history)
        folded_from = settings.folded_from
        for epoch in range(first, settings.epochs):
            if epoch == settings.float_epochs and not self.network.quantised:
                self._take_average()
                self.network.quantise(self._calibration_images, epoch == folded_from)
                self._start_phase()
            elif epoch == folded_from and not self.network.folded:
                self._take_average()
                self._estimate_norms(epoch)
                self.network.fold()
                self._start_phase()
            loss, right = self._train_epoch(epoch)
            score = self._score()
            self._keep(loss, score, right)
            if progress:
                spent = time.monotonic() - start
                left = spent / (epoch + 1 - first) * (settings.epochs - epoch - 1)
                progress(epoch + 1, settings.epochs, loss, score, left)

    def result(self) -> TrainedNetwork:
        self.network.load_state_dict(self.best)
        settle(self.network, self.settings.narrow)
        self.pruner.verify()
        ends = tuple(self.history), self.task.kind, units.real(self.network, self.lesson.units)
        return TrainedNetwork(self.graph, self.quantisation, self.network, *ends)

    def _start_phase(self) -> None:
        """Create optimiser, average and forward function, anew for each phase.

        Folding has removed some parameters by then.
        """
        self.optimizer = make_optimizer(self.network, self.settings)
        self.forward = speed.prepare(self.network, self.graph, self.settings, len(self.images))
        steps = 0.0 if self.settings.pruning else self.settings.average_epochs * self._steps
        self.average = Average(self.network, steps) if steps > 1 else None

    @property
    def _calibration_images(self) -> Tensor:
        """Images from the whole training part: pictures read by folder lie class by class."""
        return self.images[:: -(-len(self.images) // _CALIBRATION_IMAGES)]

    @property
    def judged(self) -> QuantNetwork:
        """The network that is evaluated and kept."""
        return self.average.network if self.average else self.network

    def _take_average(self) -> None:
        """Go on from the network that is judged, in eval mode."""
        self.network.load_state_dict(self.judged.state_dict())
        self.network.eval()

    @torch.no_grad()
    def _estimate_norms(self, epoch: int) -> None:
        """Estimate the batch norms' statistics anew, on changed training images.

        Weights of few bits flip in the first layer, whose inputs are not centred, so that running
        statistics lag behind. A shorter last batch is left out, as in training.
        """
        generator = torch.Generator().manual_seed(self.settings.seed * 100003 + epoch)
        chosen = torch.randperm(len(self.images), generator=generator)[:_NORM_IMAGES]
        images, _ = self.settings.augmentation.apply(self.images[chosen], generator)
        size = min(self.settings.batch_size, len(images))
        self.network.estimate_norms(images[: len(images) // size * size].split(size))

    @property
    def _steps(self) -> int:
        """Steps of an epoch: a shorter last batch is left out, so there is one shape for all."""
        return len(self.images) // min(self.settings.batch_size, len(self.images))

    def _epochs_in_phase(self) -> int:
        """Epochs that are done of the phase which the network is in."""
        done, settings = len(self.history), self.settings
        starts = (0, settings.float_epochs, settings.folded_from)
        return done - max(at for at in starts if at < done)

    def _score(self) -> float:
        """Return the score of the network that is judged on the validation split."""
        split = self.dataset.validation
        found = outputs(self.judged.eval(), split.images)
        return self.task.judge(self.lesson.real(found), split).number

    def _keep(self, loss: float, score: float, right: float | None) -> None:
        """Add an epoch to the history, keep its weights if they are worth it, and write both."""
        images = len(self.dataset.validation) if self.task.is_share else None
        quantised = self.network.quantised and self.network.folded
        kept = quantised and worth_keeping(self.history, score, images)
        self.history.append(Epoch(loss, score, quantised, right, kept))
        if kept:
            self.best = copy.deepcopy(self.judged.state_dict())
        if self.path:
            stored = checkpoint.StoredRun(
                self.network.state_dict(),
                self.average.network.state_dict() if self.average else {},
                self.optimizer.state_dict(),
                self.best,
                [dataclasses.astuple(past) for past in self.history],
            )
            checkpoint.save_run(self.path, self.identity, stored)

    def _train_epoch(self, epoch: int) -> tuple[float, float | None]:
        """Train one epoch and return the loss and training accuracy of its history.Epoch.

        Seed and epoch alone determine the order and augmentation of the images. Images that fill no
        whole batch are left out. Raises DivergedError for a loss that is not finite.
        """
        settings = self.settings
        generator = torch.Generator().manual_seed(settings.seed * 100003 + epoch)
        order = torch.randperm(len(self.images), generator=generator)
        size, steps = min(settings.batch_size, len(order)), self._steps
        self.network.train()
        priced = settings.boo > 0 and self.network.quantised
        total, right = 0.0, list[int | None]()
        for step in range(steps):
            rate = learning_rate(settings, epoch + step / steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            chosen = order[step * size : (step + 1) * size]
            images, mirrored = settings.augmentation.apply(self.images[chosen], generator)
            found, targets = self.forward(images), self.targets[chosen]
            loss = self.lesson.loss(found, targets, images)
            if self.start:
                loss = self.start.mixed(loss, found, images, self.lesson)
            if self.wanted is not None:
                loss = losses.mixed(loss, found, self.wanted[mirrored.long(), chosen], self.lesson)
            if priced:
                loss = loss + settings.boo * ones_per_weight(self.network.weight_layers)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.pruner.apply(pruned_share(settings, epoch + (step + 1) / steps))
            if self.average:
                self.average.update()
            total += float(loss.detach())
            right.append(self.lesson.right(found.detach(), targets))
        if not math.isfinite(total):
            raise DivergedError(
                f"epoch {epoch + 1} of {settings.epochs}: the loss is {total / steps}; lower the "
                f"learning rate ({settings.learning_rate:g})"
            )
        counts = [count for count in right if count is not None]
        return total / steps, sum(counts) / (steps * size) if counts else None
