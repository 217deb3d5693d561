"""Networks of sound, sequences, vectors, and of images with other outputs than classes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.importing.blocks import OFF, Joined, Kind, Sum, conv, head, head_1d, separable
from benchmarks.importing.images import seq

_MFCC, _SEQUENCE, _RGB = (1, 1, 49, 10), (1, 40, 101), (1, 3, 32, 32)


class Recurrent(nn.Module):
    """A recurrent layer on the rows of a map, and a linear layer on its last state."""

    def __init__(self, kind: type[nn.Module], front: bool, stride: int = 1) -> None:
        super().__init__()
        self.front = nn.Conv1d(40, 40, 5, stride, padding=2) if front else nn.Identity()
        self.cell, self.last = kind(40, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        return self.last(self.cell(self.front(x).transpose(1, 2))[0][:, -1])


class Causal(nn.Module):
    """Dilated convolution that looks back alone, with a skip connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.back = 2 * dilation
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)

    def forward(self, x: Any) -> Any:
        return x + torch.relu(self.conv(functional.pad(x, (self.back, 0))))


class Broadcast(nn.Module):
    """Block of BC-ResNet: a mean over frequencies is added to all of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rows = conv(channels, channels, groups=channels, **OFF)

    def forward(self, x: Any) -> Any:
        x = self.rows(x)
        return torch.relu(x + x.mean(2, keepdim=True))


class Mixer(nn.Module):
    """MLP-Mixer with batch norms, on patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 16, 8, 8), nn.BatchNorm1d(16)
        self.tokens, self.channels = nn.Linear(16, 16), nn.Linear(16, 16)
        self.last = nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        x = self.norm(self.patch(x).flatten(2))
        x = x + torch.relu(self.tokens(x))
        x = x.transpose(1, 2)
        return self.last((x + torch.relu(self.channels(x))).mean(1))


class Attention(nn.Module):
    """Vision transformer of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.last = nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        return self.last(self.layer(self.patch(x).flatten(2).transpose(1, 2)).mean(1))


class UNet(nn.Module):
    """One level down and up again, by ``up``."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.first, self.deep, self.up = conv(3, 8), conv(8, 16), up
        self.last = nn.Conv2d(24, 2, 1)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        y = self.up(self.deep(functional.max_pool2d(x, 2)))
        return self.last(torch.cat([x, y], 1))


class Heads(nn.Module):
    """A trunk with two heads, as detectors have."""

    def __init__(self, *trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = seq(*trunk)
        self.boxes, self.scores = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x: Any) -> Any:
        x = self.trunk(x)
        return self.boxes(x), self.scores(x)


class Unit(nn.Module):
    """Embedding of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = seq(conv(3, 16, stride=2), head(16, 32))

    def forward(self, x: Any) -> Any:
        return functional.normalize(self.body(x))


def tc(ins: int, out: int) -> nn.Module:
    how = {"flat": True}
    body = seq(conv(ins, out, 9, 2, **how), conv(out, out, 9, **how | OFF))
    return Sum(body, conv(ins, out, 1, 2, **how))


def mlp(*widths: int, norm: bool = False) -> nn.Module:
    parts: list[nn.Module] = []
    for ins, out in itertools.pairwise(widths[:-1]):
        parts += [nn.Linear(ins, out), *([nn.BatchNorm1d(out)] if norm else []), nn.ReLU()]
    return seq(*parts, nn.Linear(*widths[-2:]))


KINDS: Mapping[str, Kind] = {
    "DS-CNN": (lambda: seq(nn.Conv2d(1, 16, (10, 4), 2, (5, 1)), nn.BatchNorm2d(16), nn.ReLU(),
                           separable(16, 16), separable(16, 16), head(16, 12)), _MFCC),
    "cnn-trad-fpool3": (lambda: seq(nn.Conv2d(1, 16, (20, 4)), nn.ReLU(), nn.MaxPool2d((1, 3)),
                                    nn.Flatten(), nn.Linear(960, 32), nn.ReLU(),
                                    nn.Linear(32, 12)), _MFCC),
    "res15": (lambda: seq(conv(1, 16), Sum(seq(conv(16, 16, dilation=2), conv(16, 16, dilation=4)),
                                           nn.Identity()), head(16, 12)), _MFCC),
    "KWS-MLP": (lambda: seq(nn.Flatten(), mlp(490, 64, 64, 12, norm=True)), _MFCC),
    "TC-ResNet": (lambda: seq(conv(40, 16, flat=True), tc(16, 24), tc(24, 32), head_1d(32)),
                  _SEQUENCE),
    "MatchboxNet": (lambda: seq(conv(40, 32, 11, 2, flat=True), separable(32, 32, 1, 13, flat=True),
                                Sum(separable(32, 32, 1, 15, flat=True), nn.Identity()),
                                head_1d(32)), _SEQUENCE),
    "M5": (lambda: seq(conv(1, 16, 79, 4, flat=True), nn.MaxPool1d(4), conv(16, 32, flat=True),
                       nn.MaxPool1d(4), head_1d(32)), (1, 1, 8000)),
    "ECG ResNet, 1-D": (lambda: seq(conv(1, 16, 15, 2, flat=True), tc(16, 16), head_1d(16, 5)),
                        (1, 1, 187)),
    "TCN, WaveNet without gates": (lambda: seq(nn.Conv1d(40, 16, 1), Causal(16, 1), Causal(16, 2),
                                               Causal(16, 4), head_1d(16)), _SEQUENCE),
    "Human activity, 1-D CNN": (lambda: seq(nn.Conv1d(9, 16, 3), nn.ReLU(), nn.MaxPool1d(2),
                                            nn.Flatten(), nn.Linear(1008, 6)), (1, 9, 128)),
    "BC-ResNet": (lambda: seq(conv(1, 16), Broadcast(16), head(16, 12)), _MFCC),
    "LSTM": (lambda: Recurrent(nn.LSTM, False), _SEQUENCE),
    "CRNN with GRU": (lambda: Recurrent(nn.GRU, True), _SEQUENCE),
    "LSTM of 28 steps": (lambda: Recurrent(nn.LSTM, False), (1, 40, 28)),
    "CRNN with GRU of 26 steps": (lambda: Recurrent(nn.GRU, True, 4), _SEQUENCE),
    "Auto-encoder of anomalies": (lambda: mlp(640, 128, 128, 8, 128, 640, norm=True), (1, 640)),
    "Jet tagging": (lambda: mlp(16, 64, 32, 32, 5), (1, 16)),
    "Tabular ResNet": (lambda: seq(nn.Linear(20, 32), Sum(mlp(32, 32, 32), nn.Identity()),
                                   nn.Linear(32, 2)), (1, 20)),
    "PointNet": (lambda: seq(conv(3, 32, 1, flat=True), conv(32, 64, 1, flat=True),
                             nn.MaxPool1d(128), nn.Flatten(), nn.Linear(64, 10)), (1, 3, 128)),
    "MTCNN's first stage": (lambda: seq(nn.Conv2d(3, 10, 3), nn.PReLU(10), nn.MaxPool2d(2),
                                        nn.Conv2d(10, 2, 5)), (1, 3, 12, 12)),
    "Steering (PilotNet)": (lambda: seq(nn.BatchNorm2d(3), nn.Conv2d(3, 24, 5, 2), nn.ReLU(),
                                        nn.Conv2d(24, 36, 5, 2), nn.ReLU(), nn.Flatten(),
                                        mlp(900, 50, 10, 1)), _RGB),
    "DQN": (lambda: seq(nn.Conv2d(4, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU(),
                        nn.Flatten(), mlp(2592, 64, 6)), (1, 4, 84, 84)),
    "Embedding of length 1": (Unit, _RGB),
    "MLP-Mixer with batch norms": (Mixer, _RGB),
    "Vision transformer": (Attention, _RGB),
    "Convolutional auto-encoder": (lambda: seq(conv(3, 8, stride=2),
                                               nn.ConvTranspose2d(8, 3, 2, 2)), _RGB),
    "U-Net, nearest": (lambda: UNet(nn.Upsample(scale_factor=2)), _RGB),
    "U-Net, bilinear": (lambda: UNet(nn.Upsample(scale_factor=2, mode="bilinear")), _RGB),
    "U-Net, transposed": (lambda: UNet(nn.ConvTranspose2d(16, 16, 2, 2)), _RGB),
    "Segmentation at 1/4": (lambda: seq(conv(3, 16, stride=2), conv(16, 16, stride=2),
                                        nn.Conv2d(16, 4, 1)), _RGB),
    "Segmentation, enlarged bilinearly": (lambda: seq(conv(3, 16, stride=2),
                                                      conv(16, 16, stride=2), nn.Conv2d(16, 4, 1),
                                                      nn.Upsample(scale_factor=4, mode="bilinear")),
                                          _RGB),
    "ESPCN": (lambda: seq(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 4, 3, padding=1),
                          nn.PixelShuffle(2)), (1, 1, 32, 32)),
    "SRCNN": (lambda: seq(nn.Conv2d(1, 16, 9, padding=4), nn.ReLU(),
                          nn.Conv2d(16, 1, 5, padding=2)), (1, 1, 32, 32)),
    "Tiny YOLO": (lambda: seq(conv(3, 16, act=nn.LeakyReLU), nn.MaxPool2d(2), nn.Conv2d(16, 30, 1)),
                  _RGB),
    "SSD-Lite": (lambda: Heads(conv(3, 16, stride=2), separable(16, 16, 2)), _RGB),
    "Inception time, 1-D": (lambda: seq(Joined(conv(9, 8, 9, flat=True), conv(9, 8, 19, flat=True)),
                                        head_1d(16, 6)), (1, 9, 128)),
}  # fmt: skip
"""Kind -> what makes such a network, and its input's shape."""
