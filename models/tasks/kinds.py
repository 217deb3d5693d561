"""The tasks: what the outputs of a network are, how good they are, and what is learned.

All else that differs between them follows from here: training's loss and the score that epochs are
kept by, and what the commands report.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from models.data import targets
from models.data.datasets import Dataset, Split
from models.data.values import PIXEL_HIGH
from models.errors import ModelError
from models.tasks import measures
from models.tasks.measures import Measures, Reals
from models.tasks.scores import Share
from models.tasks.units import Units

if TYPE_CHECKING:
    from models.tasks.lessons import Lesson

Shape = tuple[int, int, int]
"""Of an output: channels, rows, columns."""
_MOST_EXAMPLES = 10_000
"""Most training examples whose inputs' mean and spread are looked at."""


Result = Share | Measures
"""How good outputs are."""


class Task(ABC):
    """Meaning of a network's outputs, and all that follows from it. ``TASKS`` has those there are.

    >>> TASKS["numbers"].takes_class_weights
    False
    """

    kind: ClassVar[str]
    takes_class_weights: ClassVar[bool] = False
    """True where the labels are classes, so that class weights and smoothed labels have a sense."""
    is_share: ClassVar[bool] = False
    """True where the score is a share of right answers, which has a standard error."""

    @abstractmethod
    def check(self, layer: str, shape: Shape, data: Dataset) -> None:
        """Raise ModelError unless outputs of a shape can be those of the data.

        layer: name of the output layer, for messages.
        """

    @abstractmethod
    def judge(self, outputs: Reals, split: Split) -> Result:
        """Return how good the outputs (n, outputs) of the examples of a split are, n >= 1."""

    def score(self, split: Split, shape: Shape) -> str:
        """Return what the score of outputs of a shape is called, which the answers alone decide."""
        return self.judge(np.zeros((len(split), math.prod(shape))), split).name

    def units(self, data: Dataset, shape: Shape) -> Units | None:
        """Return the units that outputs of a shape are learned in; None for classes."""
        return None

    @abstractmethod
    def lesson(
        self, data: Dataset, shape: Shape, smoothing: float, weights: tuple[float, ...]
    ) -> Lesson:
        """Return what training on the data needs for outputs of a shape, which fit (``check``).

        smoothing: share of the labels that is spread over all classes. weights: of each class in
        the loss; empty: all the same.
        """


class Classes(Task):
    """A class for each example: the largest of the outputs, the first of equal ones.

    >>> split = Split(np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1]))
    >>> Classes().judge(np.array([[2.0, 1.0], [3.0, 3.0]]), split).number
    0.5
    """

    kind = targets.CLASSES
    takes_class_weights = True
    is_share = True

    def check(self, layer: str, shape: Shape, data: Dataset) -> None:
        classes, rows, columns = shape
        if (rows, columns) != (1, 1):
            raise ModelError(
                f"layer {layer}: the output map must be 1x1, not {rows}x{columns}, where the "
                f"data has a class for each image, as {data.name}; add a global_pool and a linear "
                "layer, or say --task pixels if it has one for each pixel"
            )
        if classes != data.classes:
            raise ModelError(
                f"layer {layer}: has {classes} outputs, {data.name} has {data.classes} classes; "
                "outputs that are no classes: --task numbers or reconstruction"
            )

    def judge(self, outputs: Reals, split: Split) -> Share:
        return Share.of(int((outputs.argmax(axis=1) == split.labels).sum()), len(split))

    def lesson(
        self, data: Dataset, shape: Shape, smoothing: float, weights: tuple[float, ...]
    ) -> Lesson:
        from models.tasks.lessons import ClassLesson, by_class  # torch takes seconds to import

        return ClassLesson(by_class(weights, data.classes), smoothing)


class Pixels(Task):
    """A class for each pixel of a map: the largest of its channels.

    >>> split = Split(np.zeros((1, 1, 1, 2), np.uint8), np.array([[[0, 1]]]))
    >>> Pixels().judge(np.array([[2.0, 0.0, 1.0, 3.0]]), split).describe()
    'mean IoU 1 of 1 examples'
    """

    kind = targets.PIXELS
    takes_class_weights = True

    def check(self, layer: str, shape: Shape, data: Dataset) -> None:
        rows, columns = data.train.labels.shape[1:]
        if shape[1:] != (rows, columns):
            raise ModelError(
                f"layer {layer}: gives maps of {shape[1]}x{shape[2]}, the labels of {data.name} "
                f"have {rows}x{columns} pixels (rows x columns)"
            )
        if shape[0] < max(data.classes, 2):
            raise ModelError(
                f"layer {layer}: has {shape[0]} channels, the pixels of {data.name} have "
                f"{data.classes} classes, and two or more are needed"
            )

    def judge(self, outputs: Reals, split: Split) -> Measures:
        rows, columns = split.labels.shape[1:]
        maps = outputs.reshape(len(split), -1, rows, columns)
        return Measures(len(split), measures.pixels(maps, split.labels))

    def lesson(
        self, data: Dataset, shape: Shape, smoothing: float, weights: tuple[float, ...]
    ) -> Lesson:
        from models.tasks.lessons import PixelLesson, by_class  # torch takes seconds to import

        return PixelLesson(shape[0], by_class(weights, shape[0]), smoothing)


class Numbers(Task):
    """Numbers of any meaning, in units of the data.

    >>> split = Split(np.zeros((2, 1, 1, 1), np.uint8), np.array([1.0, 3.0]))
    >>> Numbers().judge(np.array([[1.0], [3.0]]), split).describe()
    'R2 1 of 2 examples'
    """

    kind = targets.NUMBERS

    def check(self, layer: str, shape: Shape, data: Dataset) -> None:
        wanted = data.train.labels.shape[1:]
        if _sides(shape) != _sides(wanted):
            raise ModelError(
                f"layer {layer}: has an output of {shape}, {data.name} has {wanted} numbers for "
                "each example"
            )

    def judge(self, outputs: Reals, split: Split) -> Measures:
        flat = split.labels.reshape(len(split), -1)
        return Measures(len(split), measures.regression(outputs, flat))

    def units(self, data: Dataset, shape: Shape) -> Units:
        return Units.of(data.train.labels.reshape(len(data.train), -1), shape[0])

    def lesson(
        self, data: Dataset, shape: Shape, smoothing: float, weights: tuple[float, ...]
    ) -> Lesson:
        from models.tasks.lessons import NumberLesson  # torch takes seconds to import

        if not np.ptp(data.train.labels, axis=0).any():
            raise ModelError(f"{data.name}: the numbers of the training part never vary")
        return NumberLesson(self.units(data, shape))


class Reconstruction(Task):
    """The input again, whose levels count 0..1; a large error tells an anomalous example.

    >>> split = Split(np.full((2, 1, 1, 1), 255, np.uint8), np.array([0, 1]))
    >>> Reconstruction().judge(np.array([[1.0], [0.5]]), split).score
    'roc_area'
    """

    kind = targets.RECONSTRUCTION

    def check(self, layer: str, shape: Shape, data: Dataset) -> None:
        if shape not in (data.shape, (math.prod(data.shape), 1, 1)):
            raise ModelError(
                f"layer {layer}: an output of {shape} is not the input of {data.name}, "
                f"{data.shape}, again"
            )

    def judge(self, outputs: Reals, split: Split) -> Measures:
        levels = split.images.reshape(len(split), -1) / PIXEL_HIGH
        return Measures(
            len(split), measures.reconstruction(outputs, levels, split.labels.astype(bool))
        )

    def units(self, data: Dataset, shape: Shape) -> Units:
        images = data.train.spread(_MOST_EXAMPLES).images
        return Units.of(images.reshape(len(images), -1) / PIXEL_HIGH, shape[0])

    def lesson(
        self, data: Dataset, shape: Shape, smoothing: float, weights: tuple[float, ...]
    ) -> Lesson:
        from models.tasks.lessons import InputLesson  # torch takes seconds to import

        return InputLesson(self.units(data, shape))


TASKS: dict[str, Task] = {
    task.kind: task for task in (Classes(), Pixels(), Numbers(), Reconstruction())
}
"""By their names, those of targets.TASKS."""


def _sides(shape: tuple[int, ...]) -> list[int]:
    """Return a shape without its sides of 1, which files write or not."""
    return [side for side in shape if side != 1]
