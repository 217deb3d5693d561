"""Training on from a calibrated network, towards the answers of the float one (distillation)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.network import QuantNetwork

TEMPERATURE = 2.0
"""Divisor of the logits of both networks (Hinton et al., arXiv 1503.02531)."""
TEACHER_SHARE = 0.7
"""Share of the float network's answers in the loss; the labels have the rest. Not tuned."""


@dataclass(frozen=True, eq=False)
class Start:
    """A quantised network that training starts from, and the float network that it came from.

    Both take the same input; the float one is in eval mode.
    """

    network: QuantNetwork
    teacher: QuantNetwork

    def identity(self, run: str) -> str:
        """Return a hash (SHA-256, hexadecimal) of a run's identity and of both networks."""
        digest = hashlib.sha256(run.encode())
        for network in (self.network, self.teacher):
            for name, values in network.state_dict().items():
                digest.update(name.encode())
                digest.update(values.detach().numpy().tobytes())
        return digest.hexdigest()

    def mixed(self, loss: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """Return the loss on labels mixed with the divergence from the float network's answers.

        loss: mean over a batch; logits (n, classes): of ``images`` (n, C, H, W), as for forward.
        """
        with torch.no_grad():
            wanted = F.log_softmax(self.teacher(images) / TEMPERATURE, dim=1)
        found = F.log_softmax(logits / TEMPERATURE, dim=1)
        apart = F.kl_div(found, wanted, log_target=True, reduction="batchmean")
        return (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * TEMPERATURE**2 * apart
