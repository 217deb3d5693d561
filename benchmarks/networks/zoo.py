"""Networks that accelerators are usually compared on, as network graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.graph.layers import Add, Conv2d, GlobalPool, Input, LayerSpec, Linear, MaxPool
from models.graph.network import Layer, NetworkGraph, sequential


def conv(channels: int, kernel: int = 3, stride: int = 1, *, relu: bool = True) -> Conv2d:
    """Return a convolution with 'same' padding."""
    pad = (kernel - 1) // 2
    return Conv2d(channels, (kernel, kernel), (stride, stride), (pad, pad), relu=relu)


def depthwise(channels: int, stride: int = 1) -> Conv2d:
    return Conv2d(channels, (3, 3), (stride, stride), (1, 1), groups=channels, relu=True)


def pool(size: int = 2) -> MaxPool:
    return MaxPool((size, size), (size, size))


def cnn_a() -> NetworkGraph:
    """CNN A of the peer comparison: 28 x 28 x 1, 0.33 MMAC."""
    return sequential(
        "cnn_a", (1, 28, 28), conv(8), pool(), conv(16), pool(), Linear(64, relu=True), Linear(10)
    )


def cnn_b() -> NetworkGraph:
    """CNN B of the peer comparison: 32 x 32 x 3, 24.5 MMAC."""
    return sequential(
        "cnn_b", (3, 32, 32), conv(32), conv(32), pool(), conv(64), conv(64), pool(), Linear(10)
    )


def vgg_like() -> NetworkGraph:
    """The VGG-like CIFAR-10 network of BinaryNet (Courbariaux et al., arXiv 1602.02830) with half
    the channels: six convolutions and three fully connected layers."""
    specs: list[LayerSpec] = []
    for channels in (64, 128, 256):
        specs += [conv(channels), conv(channels), pool()]
    return sequential(
        "vgg_like", (3, 32, 32), *specs, Linear(512, relu=True), Linear(512, relu=True), Linear(10)
    )


def residual(
    name: str, front: Sequence[Layer], stages: Sequence[tuple[int, int, int]], classes: int
) -> NetworkGraph:
    """Return a network of basic blocks (He et al., arXiv 1512.03385) behind the layers ``front``.

    stages: channels, stride of the first block, blocks. A shortcut stands where the stride is 2, so
    that two layers of stride 2 read one tensor.
    """
    layers = list(front)
    for stage, (channels, stride, blocks) in enumerate(stages, start=1):
        for block in range(blocks):
            source, own = layers[-1].name, f"{stage}{'abcdefgh'[block]}"
            step = stride if block == 0 else 1
            layers += [
                Layer(f"conv{own}1", conv(channels, stride=step), (source,)),
                Layer(f"conv{own}2", conv(channels, relu=False), (f"conv{own}1",)),
            ]
            if step > 1:
                shortcut = conv(channels, 1, step, relu=False)
                layers.append(Layer(f"shortcut{stage}", shortcut, (source,)))
                source = f"shortcut{stage}"
            layers.append(Layer(f"add{own}", Add(relu=True), (f"conv{own}2", source)))
    layers += [
        Layer("pool", GlobalPool(), (layers[-1].name,)),
        Layer("logits", Linear(classes), ("pool",)),
    ]
    return NetworkGraph(name, layers)


def resnet8() -> NetworkGraph:
    """ResNet-8 of MLPerf Tiny (Banbury et al., arXiv 2106.07597): 12.5 MMAC."""
    front = [Layer("input", Input((3, 32, 32))), Layer("stem", conv(16), ("input",))]
    return residual("resnet8", front, [(16, 1, 1), (32, 2, 1), (64, 2, 1)], classes=10)


def resnet18() -> NetworkGraph:
    """ResNet-18 for 224 x 224 images and 1,000 classes: 1,814 MMAC."""
    front = [
        Layer("input", Input((3, 224, 224))),
        Layer("stem", conv(64, 7, 2), ("input",)),
        Layer("stem_pool", MaxPool((3, 3), (2, 2), (1, 1)), ("stem",)),
    ]
    stages = [(64, 1, 2), (128, 2, 2), (256, 2, 2), (512, 2, 2)]
    return residual("resnet18", front, stages, classes=1000)


def resnet18_stage() -> NetworkGraph:
    """The second stage of ResNet-18 (64 x 56 x 56 to 128 x 28 x 28) with a classifier: 411 MMAC."""
    front = [Layer("input", Input((64, 56, 56)))]
    return residual("resnet18_stage", front, [(128, 2, 2)], classes=10)


def ds_cnn() -> NetworkGraph:
    """DS-CNN of MLPerf Tiny keyword spotting: 49 x 10 MFCCs, 2.7 MMAC."""
    specs: list[LayerSpec] = [Conv2d(64, (10, 4), (2, 2), (5, 1), relu=True)]
    for _ in range(4):
        specs += [depthwise(64), conv(64, 1)]
    return sequential("ds_cnn", (1, 49, 10), *specs, GlobalPool(), Linear(12))


def mobilenet_v1(
    name: str = "mobilenet_v1_025", first: int = 8, size: int = 96, classes: int = 2
) -> NetworkGraph:
    """MobileNet-V1; by default 0.25 on 96 x 96 of MLPerf Tiny visual wake words: 7.5 MMAC.

    ``first``: channels of the first layer. ``size``: rows and columns of the image.
    """
    specs: list[LayerSpec] = [conv(first, stride=2)]
    channels = first
    steps = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *5 * [(16, 1)], (32, 2), (32, 1))
    for times, stride in steps:
        specs += [depthwise(channels, stride), conv(first * times, 1)]
        channels = first * times
    return sequential(name, (3, size, size), *specs, GlobalPool(), Linear(classes))


def mobilenet_v1_large() -> NetworkGraph:
    """MobileNet-V1 1.0 on 224 x 224, 1,000 classes: 4.2 million weights, 569 MMAC."""
    return mobilenet_v1("mobilenet_v1", first=32, size=224, classes=1000)


NETWORKS: Mapping[str, Callable[[], NetworkGraph]] = {
    "cnn_a": cnn_a,
    "cnn_b": cnn_b,
    "vgg_like": vgg_like,
    "resnet8": resnet8,
    "ds_cnn": ds_cnn,
    "mobilenet_v1_025": mobilenet_v1,
}
