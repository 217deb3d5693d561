"""Networks between units of the data, in which they are kept, and those in which they learn.

The last layer alone differs: its weights, their scale and its biases. A mean of the data's numbers
is kept beside the network, as an offset of its outputs: a bias that is large beside the weights'
sums would make these coarse.
"""

from __future__ import annotations

import copy
import dataclasses

import torch

from models.tasks.units import Units
from models.training.losses import Start
from models.training.network import QuantNetwork


def learned(network: QuantNetwork, units: Units | None, offset: tuple[float, ...]) -> QuantNetwork:
    """Let a network give what training learns instead of numbers of the data, in place.

    units: of the outputs; None: both are the same. offset: of its outputs, as of TrainedNetwork.
    The last layer has no batch norm.
    """
    if units:
        moved = ((offset or 0.0) - units.mean) / units.unit
        layer = network.weight_layer(network.output_name)
        layer.rescale(1 / units.unit, torch.from_numpy(moved).float())
    return network


def real(network: QuantNetwork, units: Units | None) -> tuple[float, ...]:
    """Let a network give numbers of the data but for an offset, which is returned, in place."""
    if units is None:
        return ()
    network.weight_layer(network.output_name).rescale(units.unit, torch.zeros(()))
    return tuple(units.mean.tolist())


def with_teacher(start: Start, units: Units | None) -> Start:
    """Return a start whose float network, if it has one, gives what training learns."""
    if start.teacher is None or units is None:
        return start
    teacher = learned(copy.deepcopy(start.teacher), units, start.offset)
    return dataclasses.replace(start, teacher=teacher)
