"""Small ONNX models, made by onnx.helper; tests of imports never need a file of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
OPSET = 19


def model(
    nodes: Sequence[Any],
    constants: Mapping[str, Any],
    shape: Sequence[int | str] = (1, 3, 8, 8),
    out: str = "y",
    kind: int = TensorProto.FLOAT,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """A model with the input ``x`` and one output."""
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        initializers,
    )
    domains = {node.domain for node in nodes} - {""}
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def write(path: Path, made: onnx.ModelProto) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


node = helper.make_node


def scalar(value: float) -> Any:
    return np.float32(value)


class Qdq:
    """Nodes of a QDQ model of int8, added one by one."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def rounded(self, name: str, scale: float, zero: int = 0) -> str:
        """Quantise and dequantise a tensor; the name of what the next node reads."""
        self.constants |= {f"{name}_s": scalar(scale), f"{name}_z": np.int8(zero)}
        ends = [f"{name}_s", f"{name}_z"]
        self.nodes += [
            node("QuantizeLinear", [name, *ends], [f"{name}_q"], f"q_{name}"),
            node("DequantizeLinear", [f"{name}_q", *ends], [f"{name}_d"], f"d_{name}"),
        ]
        return f"{name}_d"

    def weights(self, name: str, shape: Sequence[int], in_scale: float, axis: int = 0) -> list[str]:
        """Weights per channel with an int32 bias; the names of what a convolution reads.

        axis: along which the output's channels lie.
        """
        count = shape[axis]
        scale = self.rng.uniform(0.005, 0.02, count).astype(np.float32)
        self.constants |= {
            f"{name}_w": self.rng.integers(-127, 128, shape).astype(np.int8),
            f"{name}_ws": scale,
            f"{name}_wz": np.zeros(count, np.int8),
            f"{name}_b": self.rng.integers(-2000, 2000, count).astype(np.int32),
            f"{name}_bs": scale * np.float32(in_scale),
            f"{name}_bz": np.zeros(count, np.int32),
        }
        for part in ("w", "b"):
            inputs = [f"{name}_{part}", f"{name}_{part}s", f"{name}_{part}z"]
            made = node(
                "DequantizeLinear", inputs, [f"{name}_{part}d"], axis=axis if part == "w" else 0
            )
            self.nodes.append(made)
        return [f"{name}_wd", f"{name}_bd"]


def residual() -> onnx.ModelProto:
    """Convolutions with a skip connection, a pooled and a linear layer, as TFLite quantises."""
    q = Qdq()
    x = q.rounded("x", 0.02, -3)
    q.nodes.append(
        node("Conv", [x, *q.weights("c1", (8, 3, 3, 3), 0.02)], ["a"], "c1", pads=[1] * 4)
    )
    a = q.rounded("a", 0.09, -128)
    made = [a, *q.weights("c2", (8, 8, 3, 3), 0.09)]
    q.nodes.append(node("Conv", made, ["b"], "c2", pads=[1] * 4))
    b = q.rounded("b", 0.6, 5)
    q.nodes.append(node("Add", [a, b], ["s"], "sum"))
    s = q.rounded("s", 0.5, -128)
    made = [s, *q.weights("dw", (8, 1, 3, 3), 0.5)]
    # Rows and columns of an even map with stride 2: padded below and right alone.
    q.nodes.append(node("Conv", made, ["d"], "dw", group=8, strides=[2, 2], auto_pad="SAME_UPPER"))
    d = q.rounded("d", 0.7, -100)
    q.nodes.append(node("GlobalAveragePool", [d], ["p"], "pool"))
    p = q.rounded("p", 0.3, -90)
    q.nodes.append(node("Flatten", [p], ["f"], "flat"))
    q.nodes.append(node("Gemm", ["f", *q.weights("fc", (5, 8), 0.3)], ["g"], "fc", transB=1))
    g = q.rounded("g", 0.4, 11)
    q.nodes.append(node("Softmax", [g], ["y"], "soft"))
    return model(q.nodes, q.constants)


def decoder() -> onnx.ModelProto:
    """A small U-Net: nearest resizing, a sum, a transposed convolution, a concat, an output map."""
    q = Qdq(5)
    x = q.rounded("x", 0.02, -3)
    made = [x, *q.weights("c1", (6, 3, 3, 3), 0.02)]
    q.nodes.append(node("Conv", made, ["a"], "c1", pads=[1] * 4))
    a = q.rounded("a", 0.09, -100)
    q.nodes.append(node("MaxPool", [a], ["m"], "down", kernel_shape=[2, 2], strides=[2, 2]))
    q.nodes.append(node("Conv", ["m", *q.weights("c2", (6, 6, 3, 3), 0.09)], ["b"], "c2",
                        pads=[1] * 4))  # fmt: skip
    b = q.rounded("b", 0.5, 5)
    q.constants["twice"] = np.array([1, 1, 2, 2], np.float32)
    q.nodes += [
        node("Resize", [b, "", "twice"], ["n"], "up", mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        node("Add", [a, "n"], ["s"], "sum"),
    ]  # fmt: skip
    s = q.rounded("s", 0.6, -3)
    made = [b, *q.weights("t", (6, 4, 3, 3), 0.5, axis=1)]
    q.nodes.append(node("ConvTranspose", made, ["t"], "t", strides=[2, 2], pads=[1, 1, 1, 1],
                        output_padding=[1, 1]))  # fmt: skip
    t = q.rounded("t", 0.6, -3)
    q.nodes.append(node("Concat", [s, t], ["j"], "join", axis=1))
    j = q.rounded("j", 0.6, -3)
    made = [j, *q.weights("last", (2, 10, 3, 3), 0.6)]
    q.nodes.append(node("Conv", made, ["y"], "last", pads=[1] * 4))
    q.rounded("y", 4.0, 0)
    return model(q.nodes, q.constants, out="y_d")


def bilinear() -> onnx.ModelProto:
    """Bilinear resizing: by 2, then by 3 and 8 in two layers; by 4 and 2, asymmetric."""
    q = Qdq(8)
    x = q.rounded("x", 0.02, -3)
    made = [x, *q.weights("c1", (4, 3, 3, 3), 0.02)]
    q.nodes.append(node("Conv", made, ["a"], "c1", strides=[2, 2]))
    a = q.rounded("a", 0.09, 7)
    for name, source, factors, way in (
        ("u", a, (2, 2), "half_pixel"),
        ("v", "u_d", (3, 8), "pytorch_half_pixel"),
        ("w", a, (4, 2), "asymmetric"),
    ):
        q.constants[f"{name}_scales"] = np.array([1, 1, *factors], np.float32)
        q.nodes.append(node("Resize", [source, "", f"{name}_scales"], [name], f"resize_{name}",
                            mode="linear", coordinate_transformation_mode=way))  # fmt: skip
        q.rounded(name, 0.09, 7)
    for name, stride, pads in (("v", [3, 8], [0] * 4), ("w", [2, 1], [1] * 4)):
        made = [f"{name}_d", *q.weights(f"c{name}", (2, 4, 3, 3), 0.09)]
        q.nodes.append(node("Conv", made, [f"{name}p"], f"read_{name}", strides=stride,
                            pads=pads))  # fmt: skip
        q.rounded(f"{name}p", 0.5, 5)
    q.nodes.append(node("Add", ["vp_d", "wp_d"], ["y"], "sum"))
    q.rounded("y", 0.07, 3)
    return model(q.nodes, q.constants, out="y_d")


def leaky() -> onnx.ModelProto:
    """Leaky ReLU of a convolution, PReLU of its rounded result, and a hard sigmoid at the end."""
    q = Qdq(6)
    x = q.rounded("x", 0.02, -3)
    q.nodes.append(node("Conv", [x, *q.weights("c1", (6, 3, 3, 3), 0.02)], ["a"], "c1"))
    q.nodes.append(node("LeakyRelu", ["a"], ["l"], "leaky", alpha=0.1))
    made = q.rounded("l", 0.0513, -110)
    q.constants["slopes"] = np.linspace(-0.37, 1.43, 6, dtype=np.float32).reshape(6, 1, 1)
    q.nodes.append(node("PRelu", [made, "slopes"], ["p"], "prelu"))
    made = q.rounded("p", 0.0397, -80)
    q.nodes.append(node("Conv", [made, *q.weights("c2", (4, 6, 1, 1), 0.0397)], ["b"], "c2"))
    q.nodes.append(node("HardSigmoid", ["b"], ["h"], "hard", alpha=0.25))
    made = q.rounded("h", 1 / 256, -128)
    q.nodes.append(node("GlobalAveragePool", [made], ["y"], "pool"))
    q.rounded("y", 1 / 256, -128)
    return model(q.nodes, q.constants, out="y_d")


def curves() -> onnx.ModelProto:
    """Activations that are looked up: behind a convolution, a shared map, a pooling; SiLU."""
    q = Qdq(7)
    x = q.rounded("x", 0.02, -3)
    q.nodes.append(node("Conv", [x, *q.weights("c1", (6, 3, 3, 3), 0.02)], ["a"], "c1"))
    a = q.rounded("a", 0.0513, 9)
    q.nodes.append(node("Sigmoid", [a], ["g"], "gate"))
    g = q.rounded("g", 1 / 256, -128)
    q.nodes.append(node("Mul", [a, g], ["s"], "silu"))
    s = q.rounded("s", 0.0391, -121)
    q.nodes.append(node("Conv", [s, *q.weights("c2", (6, 6, 1, 1), 0.0391)], ["b"], "c2"))
    b = q.rounded("b", 0.0517, -8)
    q.nodes.append(node("HardSwish", [b], ["h"], "hard"))
    h = q.rounded("h", 0.0391, -118)
    q.nodes.append(node("MaxPool", [h], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]))
    q.nodes.append(node("Add", ["p", "p2"], ["t"], "sum"))
    q.nodes.insert(-1, node("MaxPool", [b], ["p2"], "pool2", kernel_shape=[2, 2], strides=[2, 2]))
    t = q.rounded("t", 0.0731, -3)
    q.nodes.append(node("Tanh", [t], ["u"], "tanh"))
    u = q.rounded("u", 1 / 128, 0)
    q.nodes.append(node("Conv", [u, *q.weights("c3", (4, 6, 1, 1), 1 / 128)], ["y"], "c3"))
    q.rounded("y", 0.0313, 4)
    return model(q.nodes, q.constants, out="y_d")


def gates() -> onnx.ModelProto:
    """Two blocks of squeeze and excite, of a map from 0 up and of a signed one, and a product."""
    q = Qdq(8)
    x = q.rounded("x", 0.02, -3)
    q.nodes.append(node("Conv", [x, *q.weights("c1", (6, 3, 3, 3), 0.02)], ["a"], "c1"))
    a = q.rounded("a", 0.0213, -128)
    for block, grid in (("1", (0.0109, -128)), ("2", (0.0131, -3))):
        q.nodes.append(node("GlobalAveragePool", [a], [f"p{block}"], f"pool{block}"))
        p = q.rounded(f"p{block}", 0.0103, -90)
        up = [p, *q.weights(f"u{block}", (6, 6, 1, 1), 0.0103)]
        q.nodes.append(node("Conv", up, [f"u{block}"], f"up{block}"))
        u = q.rounded(f"u{block}", 0.031, 3)
        q.nodes.append(node("Sigmoid", [u], [f"g{block}"], f"gate{block}"))
        g = q.rounded(f"g{block}", 1 / 256, -128)
        operands = [a, g] if block == "1" else [g, a]
        q.nodes.append(node("Mul", operands, [f"m{block}"], f"scale{block}"))
        m = q.rounded(f"m{block}", *grid)
        made = [m, *q.weights(f"d{block}", (6, 6, 1, 1), grid[0])]
        q.nodes.append(node("Conv", made, [f"d{block}"], f"c2{block}"))
        a = q.rounded(f"d{block}", 0.0151, -11)
    q.nodes.append(node("Mul", [a, m], ["y"], "product"))
    q.rounded("y", 0.0093, 4)
    return model(q.nodes, q.constants, out="y_d")
