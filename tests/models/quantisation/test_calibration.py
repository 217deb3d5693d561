"""First scales of weights: hardly any other scale has a smaller error."""

import math

import pytest
import torch

from models.quantisation.fake_quantisers import WeightQuantiser


def _error(quantiser: WeightQuantiser, weights: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return ((quantiser(weights) - weights) ** 2).sum(dim=(1, 2, 3))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("tail", [1, 3])
def test_no_scale_is_much_better(bits, tail):
    torch.manual_seed(bits)
    weights = torch.randn(6, 32, 3, 3) ** tail  # heavy tails for 3
    weights[:, ::4] = 0  # as pruned
    quantiser = WeightQuantiser(bits, 6, per_channel=True, sparse=True)
    quantiser.calibrate(weights)
    found, chosen = _error(quantiser, weights), quantiser.log_scale.detach().clone()
    for factor in torch.logspace(-1.5, 1.5, 121):
        quantiser.log_scale.data.copy_(chosen + math.log(factor))
        assert (found < 1.05 * _error(quantiser, weights)).all(), float(factor)


def test_channels_with_fewer_bits_have_scales_of_theirs():
    torch.manual_seed(0)
    weights = torch.randn(1, 16, 3, 3).expand(4, -1, -1, -1).contiguous()
    quantiser = WeightQuantiser(6, 4, per_channel=True)
    quantiser.narrow(first=2, bits=3)
    quantiser.calibrate(weights)
    alone = WeightQuantiser(3, 4, per_channel=True)
    alone.calibrate(weights)
    assert torch.equal(quantiser.scale[2:], alone.scale[2:])
    assert (quantiser.scale[:2] < quantiser.scale[2:]).all()


def test_one_scale_for_all_channels_is_that_of_all_weights():
    torch.manual_seed(0)
    weights = torch.randn(4, 8, 3, 3) * torch.tensor([0.1, 1, 2, 3])[:, None, None, None]
    whole, one = WeightQuantiser(4, 4, per_channel=False), WeightQuantiser(4, 1, per_channel=True)
    whole.calibrate(weights)
    one.calibrate(weights.reshape(1, -1, 3, 3))
    assert torch.equal(whole.scale, one.scale)


def test_weights_of_zero_have_a_scale():
    quantiser = WeightQuantiser(4, 2, per_channel=True)
    quantiser.calibrate(torch.zeros(2, 3, 1, 1))
    assert (quantiser.scale > 0).all()
    assert not quantiser(torch.zeros(2, 3, 1, 1)).any()
