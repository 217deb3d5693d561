"""Small random ONNX graphs of the operators that are mapped: odd sizes, strides, joins, layouts.

Of maps (1, channels, rows, columns), of sequences (1, channels, columns), and of vectors.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import shape_inference

from tests.models.importing.onnx_models import model, node

Shape = tuple[int, ...]
LARGEST = 2500
"""Most values of a map."""


@dataclass
class Graph:
    """A graph in the making: nodes, constants, and the shape of each map, the newest last."""

    chance: random.Random
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, Shape] = field(default_factory=dict)

    def constant(self, values: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(values)
        return name

    def normal(self, *shape: int) -> str:
        rng = np.random.default_rng(self.chance.getrandbits(32))
        return self.constant(rng.normal(0, 0.7, shape).astype(np.float32))

    def add(self, op: str, inputs: list[str], outputs: int = 1, **how: Any) -> str:
        """Add a node; the name of its first output. Shapes are inferred when asked for."""
        name = f"t{len(self.nodes)}"
        names = [name, *(f"{name}_{i}" for i in range(1, outputs))]
        self.nodes.append(node(op, inputs, names, f"{op}_{name}", **how))
        return name

    def made(self, name: str) -> onnx.ModelProto:
        return model(self.nodes, self.constants, self.maps["x"], out=name)

    def settle(self, name: str) -> None:
        """Infer the shape of a tensor, and make it a map if it is small enough."""
        inferred = shape_inference.infer_shapes(self.made(name), strict_mode=True)
        sides = tuple(d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim)
        if 0 < np.prod(sides) <= LARGEST:
            self.maps[name] = sides

    def pick(self) -> str:
        """A map: most often the newest."""
        names = list(self.maps)
        return names[-1] if self.chance.random() < 0.7 else self.chance.choice(names)


def conv(g: Graph, x: str) -> str:
    channels, *sides = g.maps[x][1:]
    groups = g.chance.choice([d for d in range(1, channels + 1) if channels % d == 0])
    kernel = [g.chance.randint(1, min(side, 4)) for side in sides]
    how: dict[str, Any] = {"group": groups, "strides": [g.chance.randint(1, 3) for _ in sides]}
    if g.chance.random() < 0.2:
        how["auto_pad"] = g.chance.choice(["SAME_UPPER", "SAME_LOWER"])
    else:
        how["pads"] = [g.chance.randint(0, k - 1) for k in kernel * 2]
        if g.chance.random() < 0.3 and min(sides) > 6:
            how["dilations"] = [g.chance.randint(1, 2) for _ in sides]
    out = groups * g.chance.randint(1, max(8 // groups, 1))
    weights = [g.normal(out, channels // groups, *kernel)]
    return g.add(
        "Conv", [x, *weights, *([g.normal(out)] if g.chance.random() < 0.5 else [])], **how
    )


def transposed(g: Graph, x: str) -> str:
    channels = g.maps[x][1]
    kernel, stride = [g.chance.randint(1, 3) for _ in "rc"], [g.chance.randint(1, 2) for _ in "rc"]
    pads = [g.chance.randint(0, k // 2) for k in kernel]
    weights = g.normal(channels, g.chance.randint(1, 4), *kernel)
    return g.add("ConvTranspose", [x, weights], strides=stride, pads=pads * 2)


def pool(g: Graph, x: str) -> str:
    sides = g.maps[x][2:]
    kernel = [g.chance.randint(1, min(side, 3)) for side in sides]
    pads = [g.chance.randint(0, k // 2) for k in kernel * 2]
    how = {"kernel_shape": kernel, "strides": [g.chance.randint(1, 2) for _ in sides]}
    if g.chance.random() < 0.5:
        return g.add("MaxPool", [x], pads=pads, ceil_mode=g.chance.randint(0, 1), **how)
    return g.add("AveragePool", [x], pads=pads, count_include_pad=1, **how)


def norm(g: Graph, x: str) -> str:
    channels = g.maps[x][1]
    names = [g.normal(channels) for _ in "sbm"]
    g.constants[variance := f"v{len(g.constants)}"] = np.linspace(
        0.5, 2, channels, dtype=np.float32
    )
    return g.add("BatchNormalization", [x, *names, variance])


def curve(g: Graph, x: str) -> str:
    op = g.chance.choice(
        ["Relu", "Relu", "LeakyRelu", "HardSigmoid", "Sigmoid", "Tanh", "HardSwish"]
    )
    return g.add(op, [x])


def dense(g: Graph, x: str) -> str:
    weights = g.normal(g.maps[x][1], g.chance.randint(1, 8))
    return g.add("Gemm", [x, weights, *([g.normal(1)] if g.chance.random() < 0.3 else [])])


def layer(g: Graph, x: str) -> str:
    """A layer whose output is as large as its input."""
    shape = g.maps[x]
    if len(shape) == 2:
        return g.add("Gemm", [x, g.normal(shape[1], shape[1])])
    return g.add("Conv", [x, g.normal(shape[1], shape[1], *[1] * (len(shape) - 2))])


def join(g: Graph, x: str) -> str:
    """A sum, difference, product or concat with a map that fits, else with a layer of this one."""
    shape = g.maps[x]
    op = g.chance.choice(["Add", "Sub", "Mul", "Concat"])
    fits = [n for n, s in g.maps.items() if n != x and s[2:] == shape[2:]
            and (op == "Concat" or s == shape)]  # fmt: skip
    other = g.chance.choice(fits) if fits else layer(g, x)
    operands = g.chance.sample([x, other], 2)
    axis = g.chance.choice([1, 1 - len(shape)])
    return g.add(op, operands, **({"axis": axis} if op == "Concat" else {}))


def halves(g: Graph, x: str) -> str:
    """The sum, difference, product or concat of both halves of a map's channels."""
    if g.maps[x][1] % 2:
        return picked(g, x)
    first = g.add("Split", [x], 2, axis=1, num_outputs=2)
    op = g.chance.choice(["Add", "Sub", "Mul", "Concat"])
    operands = g.chance.sample([first, f"{first}_1"], 2)
    return g.add(op, operands, **({"axis": 1} if op == "Concat" else {}))


def picked(g: Graph, x: str) -> str:
    channels = g.maps[x][1]
    some = g.chance.sample(range(channels), g.chance.randint(1, channels))
    return g.add("Gather", [x, g.constant(some)], axis=1)


def centred(g: Graph, x: str) -> str:
    """A map and its mean or largest value along an axis of places, joined."""
    axis = g.constant([g.chance.choice([2, -1])])
    found = g.add(g.chance.choice(["ReduceMean", "ReduceMax", "ReduceSum"]), [x, axis])
    return g.add(g.chance.choice(["Add", "Sub"]), g.chance.sample([x, found], 2))


def gate(g: Graph, x: str) -> str:
    channels = g.maps[x][1]
    ones = [1] * (len(g.maps[x]) - 2)
    number = g.add("GlobalAveragePool", [x])
    if channels == 1 or g.chance.random() < 0.5:
        number = g.add("Conv", [number, g.normal(channels, channels, *ones)])
    else:
        number = g.add("MatMul", [g.add("Squeeze", [number]), g.normal(channels, channels)])
        places = g.constant([0, *range(2, len(g.maps[x]))])
        number = g.add("Unsqueeze", [number, places])
    number = g.add("Sigmoid", [number])
    return g.add("Mul", g.chance.sample([x, number], 2))


def part(g: Graph, x: str) -> str:
    axis = g.chance.choice([1, 1, *range(2, len(g.maps[x]))])
    side = g.maps[x][axis]
    start = g.chance.randint(0, side - 1)
    ends = [g.constant([n]) for n in (start, g.chance.randint(start + 1, side), axis)]
    return g.add("Slice", [x, *ends])


def shuffle(g: Graph, x: str) -> str:
    _, channels, *sides = g.maps[x]
    groups = g.chance.choice([d for d in range(1, channels + 1) if channels % d == 0])
    apart = g.constant([1, groups, channels // groups, *sides])
    perm = [0, 2, 1, *range(3, 3 + len(sides))]
    turned = g.add("Transpose", [g.add("Reshape", [x, apart])], perm=perm)
    return g.add("Reshape", [turned, g.constant([1, channels, *sides])])


def scaled(g: Graph, x: str) -> str:
    op = g.chance.choice(["Add", "Mul", "Sub"])
    return g.add(
        op, g.chance.sample([x, g.normal(1, g.maps[x][1], *[1] * (len(g.maps[x]) - 2))], 2)
    )


def padded(g: Graph, x: str) -> str:
    ends = [g.chance.randint(0, 2) for _ in range(4)]
    return g.add("Pad", [x, g.constant([0, 0, *ends[:2], 0, 0, *ends[2:]])])


def larger(g: Graph, x: str) -> str:
    scales = g.constant(np.array([1, 1, *g.chance.choices([1, 2], k=2)], np.float32))
    return g.add("Resize", [x, "", scales], mode="nearest", nearest_mode="floor",
                 coordinate_transformation_mode="asymmetric")  # fmt: skip


def interpolated(g: Graph, x: str) -> str:
    scales = g.constant(np.array([1, 1, *g.chance.choices([1, 2, 3, 1.5, 0.5], k=2)], np.float32))
    way = g.chance.choice(["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"])
    return g.add("Resize", [x, "", scales], mode="linear", coordinate_transformation_mode=way)


STEPS: dict[int, list[Callable[[Graph, str], str]]] = {
    2: [dense, dense, curve, curve, join, join, halves, part, shuffle, picked, scaled],
    3: [
        conv, conv, conv, pool, pool, norm, curve, curve, join, join, halves, gate, part, shuffle,
        picked, centred, scaled,
    ],
    4: [
        conv, conv, conv, transposed, pool, norm, curve, curve, join, join, halves, gate, part,
        shuffle, scaled, padded, larger, interpolated,
    ],
}  # fmt: skip
"""What is made of tensors of so many axes."""


def random_model(seed: int, axes: int) -> onnx.ModelProto:
    """A model of 5 to 12 steps, each of one to three nodes; its output is a map or a vector."""
    g = Graph(random.Random(seed))
    sides = [g.chance.randint(3, 9) for _ in range(axes - 2)]
    g.maps["x"] = (1, g.chance.randint(1, 4) if sides else g.chance.randint(3, 9), *sides)
    for _ in range(g.chance.randint(5, 12)):
        g.settle(g.chance.choice(STEPS[axes])(g, g.pick()))
    last = list(g.maps)[-1]
    if g.chance.random() < 0.5:
        flat = g.add("Flatten", [last])
        last = g.add("Gemm", [flat, g.normal(int(np.prod(g.maps[last])), 3)])
    made = g.made(last)
    needed = {last}
    for one in reversed(made.graph.node):
        if needed & set(one.output):
            needed |= set(one.input)
        else:
            made.graph.node.remove(one)
    for constant in list(made.graph.initializer):
        if constant.name not in needed:
            made.graph.initializer.remove(constant)
    return made
