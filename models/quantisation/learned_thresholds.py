"""Activation quantiser with learned thresholds: each channel has its own, codes stay evenly spaced.

Sources: Liu, Cheng, Huang, Xing, Shen, "Nonuniform-to-uniform quantization", CVPR 2022 (learned
thresholds with even codes, and gradients through the line that joins them); Wu, "Double-stage
squeeze-and-threshold", arXiv 2209.15317 (thresholds of each channel that fold into comparisons).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.quantisation.fake_quantisers import ActivationQuantiser, learned

_HALF = 0.5
"""First threshold, and how far the line goes on behind the last one, in codes: as with even steps.
"""


class ThresholdQuantiser(ActivationQuantiser):
    """Activation quantiser whose codes count the thresholds of a channel that a value reaches.

    Thresholds are learned as the logarithms of the first one and of the gaps behind it: they are
    above 0, so that a ReLU before them changes nothing, and stay in order. The gradient follows the
    line from 0 through half a code at the first threshold, one more at each further one, and flat
    at both ends; at first that is the one of even steps.

    >>> quantiser = ThresholdQuantiser(bits=2, channels=1)  # its scale is 1 at first
    >>> quantiser(torch.tensor([-1.0, 0.4, 1.6, 9.0]).reshape(1, 1, 1, 4)).detach().flatten()
    tensor([0., 0., 2., 3.])
    """

    def __init__(self, bits: int, channels: int) -> None:
        """bits: 1..models.arithmetic.MOST_THRESHOLD_BITS (not checked); codes are unsigned."""
        super().__init__(bits, signed=False)
        gaps = torch.zeros(channels, self.high)
        gaps[:, 0] = torch.log(torch.tensor(_HALF))
        self.log_gaps = nn.Parameter(gaps)

    def forward(self, values: Tensor) -> Tensor:
        """Return the values of the codes of ``values``, both (n, channels, rows, columns)."""
        scale = learned(self.log_scale, values[0].numel(), self.high)
        gaps = learned(self.log_gaps, values[0, 0].numel(), self.high)
        steps = [gap[:, None, None] for gap in gaps.unbind(dim=1)]
        ratio = values / scale
        at = steps[0]
        # The line's first piece ends at the first threshold and is half a code high.
        line = _HALF * torch.clamp(ratio / at, 0.0, 1.0)
        codes = (ratio >= at).to(ratio.dtype)
        for gap in steps[1:]:
            line = line + torch.clamp((ratio - at) / gap, 0.0, 1.0)
            at = at + gap
            codes = codes + (ratio >= at).to(ratio.dtype)
        line = line + _HALF * torch.clamp((ratio - at) / _HALF, 0.0, 1.0)
        return (line + (codes - line).detach()) * scale

    @property
    @torch.no_grad()
    def thresholds(self) -> Tensor:
        """Values that codes 1 and up begin at, float64 (channels, top), without gradient."""
        gaps = torch.exp(self.log_gaps.double())
        return torch.cumsum(gaps, dim=1) * torch.exp(self.log_scale.double())

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Set the scale as with even steps, and the thresholds between them."""
        super().calibrate(values)
        self.log_gaps.zero_()
        self.log_gaps[:, 0] = torch.log(torch.tensor(_HALF))

    @torch.no_grad()
    def set_thresholds(self, values: Tensor) -> None:
        """Set the thresholds, float64 (channels, top), rising along a channel and above 0."""
        gaps = torch.diff(values, dim=1, prepend=torch.zeros_like(values[:, :1]))
        self.log_gaps.copy_(torch.log(gaps / torch.exp(self.log_scale.double())))
