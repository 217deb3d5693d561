"""Random small networks of two or three outputs, of real numbers or QDQ."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx

from tests.models.importing.onnx_models import Qdq, model, node


class Heads:
    """Nodes of a network, added head by head; what is rounded in QDQ is not in real numbers."""

    def __init__(self, seed: int, *, quantised: bool) -> None:
        self.draw, self.q, self.quantised = random.Random(seed), Qdq(seed), quantised
        self.count = 0
        self.outputs: list[str] = []
        """Names of outputs."""
        self.scales: dict[str, float] = {}
        """Real value of a code of each tensor that a layer reads."""

    def named(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def rounded(self, name: str, low: float, high: float) -> str:
        if not self.quantised:
            return name
        scale = (high - low) / 255
        found = self.q.rounded(name, scale, min(max(round(-low / scale), 0), 255) - 128)
        self.scales[found] = scale
        return found

    def weights(self, name: str, shape: list[int], source: str) -> list[str]:
        """Weights of which a sum of products has the size of what it reads."""
        if self.quantised:
            return self.q.weights(name, shape, self.scales[source])
        rng, taps = self.q.rng, np.prod(shape[1:])
        self.q.constants |= {
            f"{name}_w": rng.normal(0, taps**-0.5, shape).astype(np.float32),
            f"{name}_b": rng.normal(0, 1, shape[0]).astype(np.float32),
        }
        return [f"{name}_w", f"{name}_b"]

    def conv(self, source: str, channels: int, out: int, *, groups: int = 1, stride: int = 1,
             kernel: int = 3) -> str:  # fmt: skip
        name = self.named("conv")
        made = [source, *self.weights(name, [out, channels // groups, kernel, kernel], source)]
        self.q.nodes.append(
            node("Conv", made, [name], f"n_{name}", pads=[kernel // 2] * 4, group=groups,
                 strides=[stride, stride])
        )  # fmt: skip
        return name

    def relu(self, source: str, top: float = 8.0) -> str:
        name = self.named("relu")
        self.q.nodes.append(node("Relu", [source], [name], f"n_{name}"))
        return self.rounded(name, 0.0, top)

    def pooled(self, source: str) -> str:
        pool, flat = self.named("pool"), self.named("flat")
        self.q.nodes.append(node("GlobalAveragePool", [source], [pool], f"n_{pool}"))
        made = self.rounded(pool, 0.0, 4.0)
        self.q.nodes.append(node("Flatten", [made], [flat], f"n_{flat}"))
        if self.quantised:
            self.scales[flat] = self.scales[made]
        return flat

    def linear(self, source: str, channels: int, out: int) -> str:
        name = self.named("linear")
        made = [source, *self.weights(name, [out, channels], source)]
        self.q.nodes.append(node("Gemm", made, [name], f"n_{name}", transB=1))
        return name

    def end(self, name: str, *, rounded: bool | None = None) -> str:
        """Make a tensor an output, rounded or not."""
        if rounded if rounded is not None else self.draw.random() < 0.6:
            bound = self.draw.choice([6.0, 9.0])
            name = self.rounded(name, -bound, bound - 0.5)
        self.outputs.append(name)
        return name

    def model(self) -> onnx.ModelProto:
        made = model(self.q.nodes, self.q.constants, out=self.outputs[0])
        for name in self.outputs[1:]:
            made.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        return made


def heads(seed: int, *, quantised: bool) -> Any:
    """A trunk of two convolutions, and two or three heads of any kinds."""
    h = Heads(seed, quantised=quantised)
    width = h.draw.choice([4, 6])
    x = h.rounded("x", -3.0, 3.2)
    first = h.relu(h.conv(x, 3, width))
    trunk = h.conv(first, width, width, stride=h.draw.choice([1, 2]))
    trunk = h.relu(trunk) if h.draw.random() < 0.5 else h.rounded(trunk, -7.0, 5.0)
    kinds = ["class", "class", "map", "map", "wide", "strided", "relu", "trunk", "half", "softmax"]
    chosen = h.draw.sample(kinds, h.draw.choice([2, 3]))
    feature = h.pooled(trunk)
    for kind in chosen:
        match kind:
            case "class":
                h.end(h.linear(feature, width, h.draw.choice([3, 5])))
            case "map":
                groups = h.draw.choice([1, 2])
                h.end(h.conv(trunk, width, 4, groups=groups, kernel=h.draw.choice([1, 3])))
            case "wide":
                h.end(h.conv(first, width, 2, kernel=h.draw.choice([3, 5])))
            case "strided":
                h.end(h.conv(trunk, width, 3, stride=2), rounded=True)
            case "relu":
                h.outputs.append(h.relu(h.conv(trunk, width, 3)))
            case "trunk":
                h.outputs.append(trunk)
            case "half":
                h.end(h.conv(first, width, 2, groups=2, stride=1, kernel=1), rounded=True)
            case "softmax":
                name = h.end(h.linear(feature, width, 4))
                h.outputs[-1] = h.named("soft")
                h.q.nodes.append(node("Softmax", [name], [h.outputs[-1]], "soft"))
    return h.model()
