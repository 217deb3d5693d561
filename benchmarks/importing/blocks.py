"""Blocks that several kinds of networks share; weights are random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Kind = tuple[Callable[[], nn.Module], tuple[int, ...]]
"""What makes a network, and the shape of its input."""


def conv(ins: int, out: int, kernel: int = 3, stride: int = 1, **how: Any) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, and an activation (``act``; None: without)."""
    act, groups = how.get("act", nn.ReLU), how.get("groups", 1)
    kind, norm = (nn.Conv1d, nn.BatchNorm1d) if how.get("flat") else (nn.Conv2d, nn.BatchNorm2d)
    dilation = how.get("dilation", 1)
    pads = dilation * (kernel // 2)
    parts = [
        kind(ins, out, kernel, stride, pads, dilation, groups, bias=False), norm(out),
        *([act()] if act else []),
    ]  # fmt: skip
    return nn.Sequential(*parts)


def separable(ins: int, out: int, stride: int = 1, kernel: int = 3, **how: Any) -> nn.Sequential:
    """Depthwise convolution, then a 1x1 one."""
    return nn.Sequential(
        conv(ins, ins, kernel, stride, groups=ins, **how), conv(ins, out, 1, **how)
    )


def head(channels: int, classes: int = 10) -> nn.Sequential:
    """Mean over the map and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def head_1d(channels: int, classes: int = 10) -> nn.Sequential:
    """Mean over a sequence and a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(channels, classes))


class Sum(nn.Module):
    """Sum of branches, and perhaps an activation."""

    def __init__(self, *branches: nn.Module, act: type[nn.Module] | None = nn.ReLU) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.act = act() if act else nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.act(sum(branch(x) for branch in self.branches))


class Joined(nn.Module):
    """Concatenation of branches along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        return torch.cat([branch(x) for branch in self.branches], 1)


def residual(ins: int, out: int, stride: int = 1, **how: Any) -> Sum:
    """Two convolutions with a skip connection."""
    skip = nn.Identity() if (ins, stride) == (out, 1) else conv(ins, out, 1, stride, **how | OFF)
    body = nn.Sequential(conv(ins, out, 3, stride, **how), conv(out, out, 3, **how | OFF))
    return Sum(body, skip, act=how.get("act", nn.ReLU))


OFF: dict[str, Any] = {"act": None}


def inverted(ins: int, out: int, stride: int = 1, expand: int = 4, **how: Any) -> nn.Module:
    """Inverted bottleneck; ``gate``: a block behind the depthwise convolution."""
    mid, gate = ins * expand, how.pop("gate", None)
    how = {"act": nn.ReLU6, **how}
    kernel = how.pop("kernel", 3)
    body = nn.Sequential(
        conv(ins, mid, 1, **how), conv(mid, mid, kernel, stride, groups=mid, **how),
        *([gate(mid)] if gate else []), conv(mid, out, 1, **how | OFF),
    )  # fmt: skip
    return Sum(body, nn.Identity(), act=None) if (ins, stride) == (out, 1) else body


class Gate(nn.Module):
    """Squeeze and excite: each channel times a number of the whole map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Any) -> Any:
        return x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Shuffle(nn.Module):
    """Shuffle of the channels of groups."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)
