"""Classifiers of images, each with few blocks and channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.importing.blocks import (
    OFF,
    Gate,
    Joined,
    Kind,
    Shuffle,
    Sum,
    conv,
    head,
    inverted,
    residual,
    separable,
)

_RGB, _GREY = (1, 3, 32, 32), (1, 1, 28, 28)


def seq(*parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(*parts)


def lenet(act: type[nn.Module], pool: type[nn.Module]) -> nn.Module:
    return seq(
        nn.Conv2d(1, 6, 5, padding=2), act(), pool(2), nn.Conv2d(6, 16, 5), act(), pool(2),
        nn.Flatten(), nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, 10),
    )  # fmt: skip


def bottleneck(ins: int, mid: int, out: int, groups: int = 1, gate: bool = False) -> nn.Module:
    body = [conv(ins, mid, 1), conv(mid, mid, groups=groups), conv(mid, out, 1, **OFF)]
    return Sum(seq(*body, *([Gate(out)] if gate else [])), conv(ins, out, 1, **OFF))


def fire(ins: int, out: int) -> nn.Module:
    wide = Joined(nn.Conv2d(8, out // 2, 1), nn.Conv2d(8, out // 2, 3, padding=1))
    return seq(nn.Conv2d(ins, 8, 1), nn.ReLU(), wide, nn.ReLU())


def dense(ins: int, growth: int, count: int) -> nn.Module:
    layers = []
    for i in range(count):
        channels = ins + i * growth
        body = seq(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1))
        layers.append(Joined(nn.Identity(), body))
    return seq(*layers)


def preact(ins: int, out: int) -> nn.Module:
    body = seq(nn.BatchNorm2d(ins), nn.ReLU(), nn.Conv2d(ins, out, 3, padding=1),
               nn.BatchNorm2d(out), nn.ReLU(), nn.Conv2d(out, out, 3, padding=1))  # fmt: skip
    return Sum(body, nn.Conv2d(ins, out, 1), act=None)


class Split(nn.Module):
    """Unit of ShuffleNetV2: half of the channels pass by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        depth = conv(half, half, groups=half, **OFF)
        self.body, self.shuffle = seq(conv(half, half, 1), depth, conv(half, half, 1)), Shuffle(2)

    def forward(self, x: Any) -> Any:
        a, b = x.chunk(2, 1)
        return self.shuffle(torch.cat([a, self.body(b)], 1))


class Ghost(nn.Module):
    """Half of the channels by a 1x1 convolution, the others by a depthwise one of those."""

    def __init__(self, ins: int, out: int) -> None:
        super().__init__()
        self.main, self.cheap = conv(ins, out // 2, 1), conv(out // 2, out // 2, groups=out // 2)

    def forward(self, x: Any) -> Any:
        x = self.main(x)
        return torch.cat([x, self.cheap(x)], 1)


class NextBlock(nn.Module):
    """Block of ConvNeXt."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm, self.act = nn.LayerNorm(channels), nn.GELU()
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Any) -> Any:
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        return x + self.down(self.act(self.up(y))).permute(0, 3, 1, 2)


def shuffled(ins: int, groups: int) -> nn.Module:
    body = seq(conv(ins, ins, 1, groups=groups), Shuffle(groups), conv(ins, ins, groups=ins, **OFF),
               conv(ins, ins, 1, groups=groups, **OFF))  # fmt: skip
    return Sum(body, nn.Identity())


def inception(ins: int) -> nn.Module:
    return Joined(
        conv(ins, 8, 1), seq(conv(ins, 8, 1), conv(8, 8)), seq(conv(ins, 4, 1), conv(4, 8, 5)),
        seq(nn.MaxPool2d(3, 1, 1), conv(ins, 8, 1)),
    )  # fmt: skip


def rgb(*parts: nn.Module) -> Kind:
    """A network of 3x32x32 whose last block has 32 channels."""
    return lambda: seq(*parts, head(32)), _RGB


KINDS: Mapping[str, Kind] = {
    "LeNet-5": (lambda: lenet(nn.ReLU, nn.MaxPool2d), _GREY),
    "LeNet-5 (1998)": (lambda: lenet(nn.Tanh, nn.AvgPool2d), _GREY),
    "MLP of MNIST": (lambda: seq(nn.Flatten(), nn.Linear(784, 64), nn.BatchNorm1d(64), nn.ReLU(),
                                 nn.Linear(64, 10)), _GREY),
    "VGG": rgb(conv(3, 16), conv(16, 16), nn.MaxPool2d(2), conv(16, 32), nn.MaxPool2d(2)),
    "AlexNet": rgb(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Dropout(),
                   nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
    "All-CNN": (lambda: seq(conv(3, 16), conv(16, 16, stride=2), nn.Conv2d(16, 10, 1),
                            nn.AdaptiveAvgPool2d(1), nn.Flatten()), _RGB),
    "Network in network": rgb(conv(3, 16, 5), conv(16, 16, 1), nn.MaxPool2d(3, 2, 1),
                              conv(16, 32, 1)),
    "CNV (FINN)": (lambda: seq(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(),
                               nn.Conv2d(16, 16, 3), nn.MaxPool2d(2), nn.Flatten(),
                               nn.Linear(3136, 10)), _RGB),
    "ResNet-8": rgb(conv(3, 16), residual(16, 16), residual(16, 32, 2)),
    "ResNet-20": rgb(conv(3, 16), *[residual(16, 16) for _ in range(3)], residual(16, 32, 2),
                     *[residual(32, 32) for _ in range(2)]),
    "ResNet-18": rgb(conv(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1), residual(16, 16),
                     residual(16, 32, 2)),
    "ResNet-50": rgb(conv(3, 16), bottleneck(16, 8, 32), bottleneck(32, 8, 32)),
    "ResNet, pre-activated": rgb(nn.Conv2d(3, 16, 3), preact(16, 32), nn.BatchNorm2d(32),
                                 nn.ReLU()),
    "Wide ResNet": rgb(conv(3, 16), residual(16, 32)),
    "ResNeXt": rgb(conv(3, 16), bottleneck(16, 16, 32, groups=4)),
    "SE-ResNet": rgb(conv(3, 16), bottleneck(16, 16, 32, gate=True)),
    "RegNetX": rgb(conv(3, 16, stride=2), bottleneck(16, 32, 32, groups=8)),
    "RegNetY": rgb(conv(3, 16, stride=2), bottleneck(16, 32, 32, groups=8, gate=True)),
    "RepVGG": rgb(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU()),
    "RepVGG, in training": rgb(conv(3, 32), Sum(conv(32, 32, **OFF), conv(32, 32, 1, **OFF),
                                                nn.BatchNorm2d(32))),
    "DenseNet": rgb(nn.Conv2d(3, 8, 3, padding=1), dense(8, 8, 3)),
    "SqueezeNet": rgb(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
                      fire(16, 32)),
    "Inception": rgb(conv(3, 16), inception(16)),
    "Xception": rgb(conv(3, 16), Sum(seq(separable(16, 32), nn.MaxPool2d(3, 2, 1)),
                                     conv(16, 32, 1, 2, **OFF), act=None)),
    "MobileNetV1": rgb(conv(3, 8, stride=2), separable(8, 16), separable(16, 32, 2)),
    "MobileNetV2": rgb(conv(3, 8, stride=2, act=nn.ReLU6), inverted(8, 16, 2), inverted(16, 16),
                       conv(16, 32, 1, act=nn.ReLU6)),
    "MobileNetV3": rgb(conv(3, 8, stride=2, act=nn.Hardswish),
                       inverted(8, 16, act=nn.Hardswish, gate=Gate), conv(16, 32, 1)),
    "MnasNet": rgb(conv(3, 8, stride=2), inverted(8, 16, act=nn.ReLU, kernel=5), conv(16, 32, 1)),
    "ProxylessNAS, MCUNet": rgb(conv(3, 8, stride=2, act=nn.ReLU6), inverted(8, 16, 2, 3, kernel=7),
                                conv(16, 32, 1, act=nn.ReLU6)),
    "FBNet": rgb(conv(3, 8, stride=2), inverted(8, 8, expand=1, act=nn.ReLU), conv(8, 32, 1)),
    "EfficientNet-Lite": rgb(conv(3, 8, stride=2, act=nn.ReLU6),
                             inverted(8, 16, expand=6, kernel=5), conv(16, 32, 1, act=nn.ReLU6)),
    "EfficientNet": rgb(conv(3, 8, stride=2, act=nn.SiLU),
                        inverted(8, 16, act=nn.SiLU, gate=Gate), conv(16, 32, 1, act=nn.SiLU)),
    "ShuffleNetV1": rgb(conv(3, 24), shuffled(24, 3), conv(24, 32, 1)),
    "ShuffleNetV2": rgb(conv(3, 16), Split(16), Split(16), conv(16, 32, 1)),
    "GhostNet": rgb(conv(3, 8), Ghost(8, 32)),
    "ConvNeXt": rgb(nn.Conv2d(3, 32, 4, 4), NextBlock(32)),
    "Person detection": (lambda: seq(conv(1, 8, stride=2), separable(8, 16), separable(16, 32, 2),
                                     head(32, 2)), (1, 1, 96, 96)),
}  # fmt: skip
"""Kind -> what makes such a network, and its input's shape."""
