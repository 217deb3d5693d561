"""Equalised channels: the same network in floating point, and a nearer one in codes."""

from __future__ import annotations

import numpy as np
import torch

from models.calibration import equalising, inputs, loading
from models.calibration.calibrating import calibrate
from models.calibration.equalising import Pair, equalise, pairs
from models.importing.floating import FloatNetwork
from models.quantisation.plan import Quantisation, QuantSpec
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating

EIGHT = Quantisation(8, QuantSpec(8, 8))
SPLIT = examples(RESIDUAL)
LEVELS = torch.from_numpy(SPLIT.images)


def uneven() -> FloatNetwork:
    """The network with one channel of ``deep`` 200 times as large, and read so much weaker."""
    found = inputs.fit(floating(RESIDUAL), UNIT).network
    for name in ("deep.weight", "deep.bias"):
        found.weights[name][0] *= 200
    found.weights["point.weight"][:, 0] /= 200
    return found


def test_pairs_are_layers_whose_channels_nobody_else_reads() -> None:
    network = loading.load(floating(RESIDUAL), EIGHT)
    assert pairs(network) == [Pair("deep", "point")]  # first and point are read by the sum
    clipped = loading.load(floating(RESIDUAL, ceilings={"deep": 6}), EIGHT)
    assert pairs(clipped) == []


def test_the_network_computes_the_same_with_channels_nearer_to_one_another() -> None:
    network = loading.load(uneven(), EIGHT)
    with torch.no_grad():
        before = network.tensors(LEVELS)
        equalise(network, before)
        after = network.tensors(LEVELS)
    torch.testing.assert_close(after["classes"], before["classes"], rtol=1e-3, atol=1e-3)
    spreads = []
    for values in (before["deep"], after["deep"]):
        reach = values.amax(dim=(0, 2, 3))
        spreads.append(float(reach.max() / reach.min()))
    assert spreads[1] < spreads[0] / 4


def test_depthwise_weights_and_dead_channels_do_no_harm() -> None:
    network = loading.load(uneven(), EIGHT)
    reach = torch.tensor([0.0, 1, 2, 4, 1e9, 1, 1, 1])
    factor = equalising._factor(reach, network.weight_layer("deep"))  # depthwise: all of it
    assert factor[0] == 1
    assert factor[2] / factor[1] == factor[3] / factor[2] == 2
    assert factor.max() == equalising.LARGEST


def test_calibration_takes_the_nearer_network() -> None:
    errors = []
    for network in (inputs.fit(floating(RESIDUAL), UNIT).network, uneven()):
        trained = calibrate(network, EIGHT, SPLIT.images)
        real = loading.load(network, EIGHT)
        with torch.no_grad():
            apart = trained.network(LEVELS) - real(LEVELS)
        errors.append(float(apart.std() / real(LEVELS).detach().std()))
    assert errors[1] < 2 * errors[0]
    assert np.isfinite(errors).all()
