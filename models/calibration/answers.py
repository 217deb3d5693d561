"""The outputs of a float network in the units that its task is learned and measured in."""

from __future__ import annotations

import dataclasses

import numpy as np

from models.data.datasets import Dataset
from models.data.targets import NUMBERS, RECONSTRUCTION
from models.data.values import InputRange
from models.importing.floating import FloatNetwork
from models.tasks.kinds import TASKS
from models.tasks.measures import Reals


def fit(floating: FloatNetwork, data: Dataset) -> tuple[FloatNetwork, tuple[float, ...]]:
    """Return the network with outputs as the data's task has them, and what is added to them.

    The input again counts 0..1 of its range, as in own designs. The mean of numbers becomes an
    offset of each channel, as a bias that is large beside the weights' sums would make these
    coarse. Others stay as they are. The outputs fit the data (not checked).
    """
    shape = floating.graph.shapes[floating.graph.output.name]
    if data.task == NUMBERS:
        units = TASKS[NUMBERS].units(data, shape)
        assert units is not None
        return _moved(floating, np.ones(shape[0]), -units.mean), tuple(units.mean.tolist())
    if data.task == RECONSTRUCTION:
        low, high = (
            np.broadcast_to(np.array(end), data.shape[0]).repeat(shape[0] // data.shape[0])
            for end in (data.input_range.low, data.input_range.high)
        )
        return _moved(floating, 1 / (high - low), -low / (high - low)), ()
    return floating, ()


def one_range(values: InputRange) -> InputRange:
    """Return the range that holds those of all channels.

    >>> one_range(InputRange((0.0, -1.0), (1.0, 0.5)))
    InputRange(low=(-1.0,), high=(1.0,))
    """
    return InputRange.of(min(values.low), max(values.high))


def _moved(floating: FloatNetwork, factor: Reals, offset: Reals) -> FloatNetwork:
    """Return the network whose outputs are ``factor * output + offset``, both by channel."""
    last = floating.graph.output.name
    weight, bias = (floating.weights[f"{last}.{part}"] for part in ("weight", "bias"))
    moved = {
        f"{last}.weight": (weight * factor[:, None, None, None]).astype(np.float32),
        f"{last}.bias": (bias * factor + offset).astype(np.float32),
    }
    return dataclasses.replace(floating, weights={**floating.weights, **moved})
