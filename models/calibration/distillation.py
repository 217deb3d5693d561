"""Fine-tuning: a quantised network goes on training, towards the answers of the float network.

Its loss is half the cross entropy of the labels and half that of the teacher's softened answers
(Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531).
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.network import QuantNetwork
from models.training.trained import TrainedNetwork

TEMPERATURE = 2.0
"""Logits are divided by it before answers are compared: wrong classes show how likely they are."""
SHARE = 0.5
"""Share of the teacher's answers in the loss; the rest is that of the labels."""


@dataclass(frozen=True, eq=False)
class FineTuning:
    """A quantised network to go on from, and the float network to come near to.

    Made by ``finetune`` (codesign.explore.given.finetuning).
    """

    start: TrainedNetwork
    teacher: QuantNetwork
    """In floating point and eval mode; it is not changed."""

    def network(self) -> QuantNetwork:
        """Return a copy of the network to go on from."""
        return copy.deepcopy(self.start.network)

    def loss(self, labels: Tensor, logits: Tensor, images: Tensor) -> Tensor:
        """Return the loss of a batch: ``labels`` is that of its labels, which counts in part.

        logits: (n, classes) of the images (n, C, H, W).
        """
        with torch.no_grad():
            wanted = F.softmax(self.teacher(images) / TEMPERATURE, dim=1)
        answers = F.log_softmax(logits / TEMPERATURE, dim=1)
        matched = F.kl_div(answers, wanted, reduction="batchmean") * TEMPERATURE**2
        return (1 - SHARE) * labels + SHARE * matched

    @property
    def sha256(self) -> str:
        """Hash of both networks' weights and scales."""
        found = hashlib.sha256()
        for network in (self.start.network, self.teacher):
            for name, tensor in sorted(network.state_dict().items()):
                found.update(name.encode() + tensor.contiguous().numpy().tobytes())
        return found.hexdigest()
