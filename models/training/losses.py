"""Losses beside that on labels: the price of one-bits, and the answers of a float network.

The price is models.integer.bits' count, made differentiable.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from models.quantisation.fake_quantisers import WeightQuantiser
from models.tasks.lessons import CLASS_LESSON, Lesson
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork

TEMPERATURE = 2.0
"""Divisor of the logits of both networks (Hinton et al., arXiv 1503.02531)."""
TEACHER_BATCH = 500
"""Images of which a teacher computes the logits at a time."""
TEACHER_SHARE = 0.7
"""Share of the teacher's answers in the loss; the labels have the rest. Not tuned."""


def ones_per_weight(layers: list[WeightLayer]) -> Tensor:
    """Return the mean number of one-bits of the weights' magnitudes, 1-bit weights left out.

    It is 0 if all weights have 1 bit. Between two integers the count is interpolated: where it
    falls (3 to 4, 7 to 8) the gradient drives a magnitude up, where it rises (0 to 1, 4 to 5) down.
    At integers it is exact.
    """
    priced = [layer for layer in layers if layer.quantiser.bits > 1]
    weights = sum(layer.weight.numel() for layer in priced)
    total = sum((_ones(layer.quantiser, layer.kept_weight()) for layer in priced), torch.zeros(()))
    return total / max(weights, 1)


def _ones(quantiser: WeightQuantiser, weights: Tensor) -> Tensor:
    """Return the interpolated number of one-bits of all ``weights``, a scalar.

    Scales get no gradient: a larger scale would be the cheapest way to fewer ones.
    """
    counts = torch.tensor([n.bit_count() for n in range(quantiser.high + 1)], dtype=weights.dtype)
    sizes = (weights.abs() / quantiser.scale).clamp(max=quantiser.high)
    below = sizes.detach().floor().clamp(max=quantiser.high - 1).long()
    slope = counts[below + 1] - counts[below]
    return (counts[below] + slope * (sizes - below)).sum()


def identity(run: str, *networks: QuantNetwork) -> str:
    """Return a hash (SHA-256, hexadecimal) of a run's identity and of networks it starts from."""
    digest = hashlib.sha256(run.encode())
    for network in networks:
        for name, values in network.state_dict().items():
            digest.update(name.encode())
            digest.update(values.detach().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Start:
    """A folded, quantised network that training starts from, and the float one that it came from.

    Training goes on towards the answers of the float one, if there is one (distillation), which is
    in eval mode; both take the same input. The bits of ``network`` may be others than those that
    are trained: its scales are set anew then. Made by ``train_design`` and ``finetune`` of
    codesign.build.
    """

    network: QuantNetwork
    teacher: QuantNetwork | None = None
    offset: tuple[float, ...] = ()
    """Of the outputs of both, as of TrainedNetwork."""

    def identity(self, run: str) -> str:
        """Return a hash (SHA-256, hexadecimal) of a run's identity and of the networks."""
        run = f"{run} {self.offset}" if self.offset else run
        return identity(run, self.network, *([self.teacher] if self.teacher else []))

    def mixed(
        self, loss: Tensor, outputs: Tensor, images: Tensor, lesson: Lesson = CLASS_LESSON
    ) -> Tensor:
        """Return the loss on labels mixed with the divergence from the float network's answers.

        loss: mean over a batch; outputs (n, outputs): of ``images`` (n, C, H, W), as for forward.
        Without a float network it stays as it is.
        """
        if self.teacher is None:
            return loss
        with torch.no_grad():
            wanted = self.teacher(images)
        return mixed(loss, outputs, wanted, lesson)


def mixed(loss: Tensor, outputs: Tensor, wanted: Tensor, lesson: Lesson = CLASS_LESSON) -> Tensor:
    """Return the loss on labels mixed with the divergence from a teacher's answers.

    loss: mean over a batch; outputs, wanted (n, outputs): of the network and of its teacher. The
    temperature leaves a squared error as it is.
    """
    apart = lesson.divergence(outputs / TEMPERATURE, wanted / TEMPERATURE)
    return (1 - TEACHER_SHARE) * loss + TEACHER_SHARE * TEMPERATURE**2 * apart


@torch.no_grad()
def teacher_logits(
    teacher: QuantNetwork, images: Tensor, mirror: bool, bfloat16: bool = False
) -> Tensor:
    """Return a teacher's outputs (1 or 2, n, outputs) for all ``images``, and mirrored if asked.

    They are computed once and stand for every change of an image but mirroring. images: uint8
    (n, C, H, W). bfloat16: round products so, which is ten times as fast where the CPU has them.
    The teacher is left in eval mode.
    """
    teacher.eval()
    kinds = [images, images.flip(3)] if mirror else [images]
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        found = [[teacher(batch) for batch in kind.split(TEACHER_BATCH)] for kind in kinds]
    return torch.stack([torch.cat(batches).float() for batches in found])
