"""ATen operators, and those of quantised programs (PT2E), as nodes of the neutral graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.importing.readers import torch_moves, torch_recurrent
from models.importing.readers.foreign import Node
from models.importing.readers.grids import Rounding, narrowed
from models.importing.readers.table import RefusalError
from models.importing.readers.torch_calls import Call, numbers, sides


def _conv(call: Call) -> list[Node]:
    name = call.operator.rpartition(".")[2]
    transposed = name.startswith("conv_transpose") or bool(call.args.get("transposed"))
    axes = len(call.shape_of("weight")) - 2
    padding = call.args["padding"]
    where: dict[str, Any] = (
        {"auto_pad": "VALID" if padding == "valid" else "SAME_UPPER"}
        if isinstance(padding, str)
        else {"pads": sides(padding, axes)}
    )
    strides, dilations = (numbers(call.args[key]) for key in ("stride", "dilation"))
    if transposed:
        more = numbers(call.args["output_padding"])
        where["output_padding"] = more * axes if len(more) == 1 else more
    return call.node(
        "ConvTranspose" if transposed else "Conv",
        call.tensor("input"), call.tensor("weight"), call.tensor("bias"),
        strides=strides * axes if len(strides) == 1 else strides,
        dilations=dilations * axes if len(dilations) == 1 else dilations,
        group=int(call.args["groups"]), **where,
    )  # fmt: skip


def _linear(call: Call) -> list[Node]:
    inputs = (call.tensor("input"), call.tensor("weight"), call.tensor("bias"))
    return call.node("MatMul", *inputs, transB=1)  # keeps all axes in front, as this does


def _addmm(call: Call) -> list[Node]:
    inputs = (call.tensor("mat1"), call.tensor("mat2"), call.tensor("self"))
    return call.node("Gemm", *inputs, alpha=call.args["alpha"], beta=call.args["beta"])


def _matmul(call: Call) -> list[Node]:
    second = call.tensor("mat2") or call.tensor("other")
    return call.node("MatMul", call.tensor("self"), second)


def _batch_norm(call: Call) -> list[Node]:
    if call.args.get("training"):
        raise RefusalError("is in training mode", "training", "module.eval() before the export")
    channels = call.shape_of("running_mean")[0]
    scale = call.tensor("weight") or call.number(np.ones(channels), "scale")
    shift = call.tensor("bias") or call.number(np.zeros(channels), "shift")
    inputs = (call.tensor("input"), scale, shift)
    moments = (call.tensor("running_mean"), call.tensor("running_var"))
    (made,) = call.node("BatchNormalization", *inputs, *moments, epsilon=float(call.args["eps"]))
    return [Node(made.name, made.op, made.inputs, made.outputs[:1], made.attributes, made.operator)]


def _clamp(call: Call) -> list[Node]:
    limits = []
    for end, default in (("min", -math.inf), ("max", math.inf)):
        value = call.args.get(f"{end}_val", call.args.get(end))
        if not isinstance(value, int | float | None):
            raise RefusalError("clips to a tensor", end, "a number")
        limits.append(default if value is None else float(value))
    return call.node("Clip", call.tensor("self"), low=limits[0], high=limits[1])


def _pooled_axes(call: Call) -> int:
    """Return over how many axes a call pools. Raises RefusalError for an input without a batch."""
    axes, shape = 1 if "1d" in call.operator else 2, call.shape_of("self")
    if len(shape) != axes + 2:
        raise RefusalError(f"its input of shape {shape} has no batch", "self", "a batch of 1")
    return axes


def _pool(op: str) -> Callable[[Call], list[Node]]:
    def read(call: Call) -> list[Node]:
        kernel, axes = numbers(call.args["kernel_size"]), _pooled_axes(call)
        kernel = kernel * axes if len(kernel) == 1 else kernel
        strides = numbers(call.args["stride"] or kernel)
        given: dict[str, Any] = {
            "kernel_shape": kernel,
            "strides": strides * axes if len(strides) == 1 else strides,
            "pads": sides(call.args["padding"], axes),
            "ceil_mode": int(call.args["ceil_mode"]),
        }
        if op == "AveragePool":
            if call.args.get("divisor_override"):
                raise RefusalError("divides by a number of its own", "divisor_override")
            given["count_include_pad"] = int(call.args["count_include_pad"])
        else:
            dilations = numbers(call.args["dilation"])
            given["dilations"] = dilations * axes if len(dilations) == 1 else dilations
        return call.node(op, call.tensor("self"), **given)

    return read


def _adaptive(op: str, whole: str) -> Callable[[Call], list[Node]]:
    def read(call: Call) -> list[Node]:
        axes = _pooled_axes(call)
        sizes, out = call.shape_of("self")[-axes:], call.shapes[0][-axes:]
        if set(out) == {1}:
            return call.node(whole, call.tensor("self"))
        if any(size % side for size, side in zip(sizes, out, strict=True)):
            raise RefusalError(f"makes {out} of {sizes}", "output_size", "sizes that divide evenly")
        windows = [size // side for size, side in zip(sizes, out, strict=True)]
        return call.node(op, call.tensor("self"), kernel_shape=windows, strides=windows)

    return read


def _reduction(op: str) -> Callable[[Call], list[Node]]:
    def read(call: Call) -> list[Node]:
        axes = call.args.get("dim")
        count = len(call.shape_of("self"))
        axes = numbers(axes) if axes not in (None, [], ()) else list(range(count))
        keep = int(call.args.get("keepdim", False))
        return call.node(op, call.tensor("self"), axes=axes, keepdims=keep)

    return read


def _leaky(call: Call) -> list[Node]:
    return call.node("LeakyRelu", call.tensor("self"), alpha=float(call.args["negative_slope"]))


def _softplus(call: Call) -> list[Node]:
    if call.args.get("beta", 1) != 1 or call.args.get("threshold", 20) < 8:
        raise RefusalError(f"beta {call.args['beta']}", "beta", "beta 1")
    return call.node("Softplus", call.tensor("self"))


def _hard_sigmoid(call: Call) -> list[Node]:
    return call.node("HardSigmoid", call.tensor("self"), alpha=1 / 6, beta=0.5)


def _prelu(call: Call) -> list[Node]:
    """Read PReLU, whose slopes lie along the channels: ONNX has them broadcast."""
    (count,) = call.shape_of("weight")
    axes = len(call.shape_of("self")) - 2
    shape = call.number(np.array([count, *[1] * max(axes, 0)], np.int64), "slopes")
    slope = f"{call.outputs[0]}#slope"
    return [
        Node(call.name, "Reshape", (call.tensor("weight"), shape), (slope,)),
        *call.node("PRelu", call.tensor("self"), slope),
    ]


def _norm(call: Call) -> list[Node]:
    if call.args.get("ord", 2) not in (1, 2):
        raise RefusalError(f"norm of order {call.args['ord']}", "ord", "the length, of order 2")
    return _reduction(f"ReduceL{int(call.args.get('ord', 2))}")(call)


def _binary(op: str) -> Callable[[Call], list[Node]]:
    def read(call: Call) -> list[Node]:
        if call.args.get("rounding_mode"):
            raise RefusalError("rounds its quotient", "rounding_mode")
        if call.args.get("alpha", 1) != 1:
            raise RefusalError(f"adds {call.args['alpha']} times a tensor", "alpha", "alpha 1")
        names = []
        for key in ("self", "other"):
            value = call.args[key]
            is_number = isinstance(value, int | float)
            names.append(call.number(value, key) if is_number else call.tensor(key))
        return call.node(op, *names)

    return read


def _dropout(call: Call) -> list[Node]:
    if call.args.get("train"):
        raise RefusalError("is in training mode", "train", "module.eval() before the export")
    return call.node("Identity", call.tensor("input"))


def _cast(call: Call) -> list[Node]:
    dtype = call.args.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise RefusalError(f"makes {dtype} of its input", "dtype", "quantise with PT2E")
    return call.node("Identity", call.tensor("self"))


def _expand(call: Call) -> list[Node]:
    if math.prod(call.shape_of("self")) != math.prod(call.shapes[0]):
        raise RefusalError(f"repeats {call.shape_of('self')} to {call.shapes[0]}", "size")
    return torch_moves.reshape(call)


def _plain(op: str, key: str = "self") -> Callable[[Call], list[Node]]:
    return lambda call: call.node(op, call.tensor(key))


def _rounding(op: str) -> Callable[[Call], list[Node]]:
    """Return the reader of quantize and dequantize, of tensors and of channels."""

    def read(call: Call) -> list[Node]:
        found: list[Any] = []
        for key in ("scale", "zero_point"):
            value = call.args.get(key, call.args.get(f"{key}s"))
            if hasattr(value, "name"):
                name = call.reader.tensor(value)
                if name not in call.reader.constants:
                    raise RefusalError(f"{key} is computed", key, "static quantisation")
                value = call.reader.constants[name].values
            found.append(np.zeros(1) if value is None else np.asarray(value))
        low, high = int(call.args["quant_min"]), int(call.args["quant_max"])
        signed = low < 0
        bits = max(high.bit_length() + signed, 1)
        whole = Rounding(found[0], found[1], bits, signed, axis=call.args.get("axis"))
        given = {"grid": narrowed(whole, low, high)}
        return call.node(op, call.tensor("input"), **given)

    return read


READERS: Mapping[str, Callable[[Call], list[Node]]] = {
    **dict.fromkeys(("aten.conv1d", "aten.conv2d", "aten.convolution", "aten.conv_transpose1d",
                     "aten.conv_transpose2d"), _conv),
    "aten.linear": _linear, "aten.addmm": _addmm,
    **dict.fromkeys(("aten.mm", "aten.bmm", "aten.matmul"), _matmul), "aten.expand": _expand,
    **dict.fromkeys(("aten.batch_norm", "aten._native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(("aten.relu", "aten.relu_"), _plain("Relu")),
    **dict.fromkeys(("aten.hardtanh", "aten.hardtanh_", "aten.clamp", "aten.clamp_"), _clamp),
    **dict.fromkeys(("aten.leaky_relu", "aten.leaky_relu_"), _leaky), "aten.prelu": _prelu,
    **dict.fromkeys(("aten.hardsigmoid", "aten.hardsigmoid_"), _hard_sigmoid),
    "aten.relu6": lambda call: call.node("Clip", call.tensor("self"), low=0.0, high=6.0),
    **{f"aten.max_pool{end}": _pool("MaxPool") for end in ("1d", "2d", "2d_with_indices")},
    **dict.fromkeys(("aten.avg_pool1d", "aten.avg_pool2d"), _pool("AveragePool")),
    **dict.fromkeys(("aten.adaptive_avg_pool1d", "aten.adaptive_avg_pool2d"),
                    _adaptive("AveragePool", "GlobalAveragePool")),
    "aten.mean": _reduction("ReduceMean"), "aten.sum": _reduction("ReduceSum"),
    "aten.amax": _reduction("ReduceMax"), "aten.linalg_vector_norm": _norm,
    "aten.clamp_min": _clamp, "aten.expand_as": _plain("Expand"),
    **{f"aten.{name}{end}": _binary(op) for end in ("", "_") for name, op in
       (("add", "Add"), ("sub", "Sub"), ("mul", "Mul"), ("div", "Div"))},
    **{f"aten.{name}": torch_moves.reshape for name in (
        "view", "reshape", "_unsafe_view", "flatten", "squeeze", "unsqueeze", "unflatten")},
    **{f"aten.{name}": torch_moves.transpose for name in ("permute", "transpose", "t")},
    "aten.slice": torch_moves.slice, "aten.select": torch_moves.select,
    **{f"aten.{name}": torch_moves.split for name in ("split", "split_with_sizes", "chunk")},
    "aten.cat": torch_moves.concat, "aten.channel_shuffle": torch_moves.shuffle,
    "aten.pixel_shuffle": torch_moves.blocks, "aten.pixel_unshuffle": torch_moves.blocks,
    **{f"aten.upsample_{name}": torch_moves.resized for name in (
        "nearest1d", "nearest2d", "linear1d", "bilinear2d")},
    **{f"aten.{name}": torch_moves.pad for name in ("pad", "constant_pad_nd")},
    **{f"aten.{name}": _dropout for name in ("dropout", "dropout_", "feature_dropout")},
    **{f"aten.{name}": _plain("Identity") for name in (
        "contiguous", "clone", "detach", "detach_", "alias", "lift_fresh_copy")},
    **{f"aten.{name}": _plain("Softmax") for name in ("softmax", "_softmax")},
    **{f"aten.{name}": _plain("LogSoftmax") for name in ("log_softmax", "_log_softmax")},
    **{f"aten.{name}{end}": _plain(op) for end in ("", "_") for name, op in (
        ("sigmoid", "Sigmoid"), ("tanh", "Tanh"), ("silu", "Swish"), ("hardswish", "HardSwish"),
        ("mish", "Mish"))},
    "aten.elu": lambda call: call.node("Elu", call.tensor("self"), alpha=float(call.args["alpha"])),
    "aten.softplus": _softplus,
    "aten.gelu": lambda call: call.node(
        "Gelu", call.tensor("self"), approximate=str(call.args["approximate"])),
    **dict.fromkeys(("aten.to", "aten._to_copy"), _cast),
    "aten.lstm": torch_recurrent.recurrent("LSTM"), "aten.gru": torch_recurrent.recurrent("GRU"),
    **{f"aten.rnn_{name}": torch_recurrent.recurrent("RNN", activations=[name] * 2)
       for name in ("tanh", "relu")},
    "aten.zeros": torch_recurrent.zeros,
    "aten.argmax": _plain("ArgMax"),
    **{f"quantized_decomposed.quantize_per_{what}": _rounding("Quantise")
       for what in ("tensor", "channel")},
    **{f"quantized_decomposed.dequantize_per_{what}": _rounding("Dequantise")
       for what in ("tensor", "channel")},
}  # fmt: skip
"""Operator -> what reads a call of it."""
NAMES: Mapping[str, str] = {
    "aten.upsample_bicubic2d": "Resize",
    "aten.layer_norm": "LayerNormalization", "aten.instance_norm": "InstanceNormalization",
    "quantized_decomposed.choose_qparams": "DynamicQuantizeLinear",
}  # fmt: skip
"""Operators that are not mapped -> ONNX's name, by which what would do instead is found."""


def nodes(call: Call) -> list[Node]:
    """Return a call as nodes of the neutral graph; one of an operator that is not known as itself.

    Raises RefusalError.
    """
    reader = READERS.get(call.operator)
    if reader:
        return reader(call)
    inputs = [item for item in call.args.values() if hasattr(item, "meta")]
    op = NAMES.get(call.operator, call.operator)
    return call.node(op, *(call.reader.tensor(item) for item in inputs))
