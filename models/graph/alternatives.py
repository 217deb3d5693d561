"""Operators and keys that other tools have and networks here do not, with what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from models.files.reading import SHOWN, quoted

_BATCH_NORM = "set batch_norm: true on the conv2d or linear before it"
_FLATTENS = "leave it out: linear flattens by itself"
_LOGITS = "leave it out: the largest logit is the prediction"
_RELU = "use relu"
_ONE_ORDER = "leave it out: tensors are channels, rows, columns"
_RECURRENT = "use conv2d with kernel [1, k] over a window of time steps"
_RESOLUTION = "keep the resolution with stride 1 instead of restoring it"
_PADDING = (
    "set padding: [top, left, bottom, right] on the conv2d or pooling that reads it; padding is "
    "zeros, in max_pool left out"
)
_SLICE = "let every reader take the whole tensor; a conv2d with kernel 1 picks channels"
_SAME_ADD = "use add, which takes two tensors of one shape"
_PAIRWISE = "use add or concat"
_CHANNELS = "use out_channels"
_FEATURES = "use out_features"
_KERNEL = "use kernel"
_INFERRED = "leave it out: it follows from the layer that is read"
_NORM_CONSTANTS = "leave it out: batch norm is folded into the weights"
_BIAS = "leave it out: every layer has a bias, which costs no cycles"
_BITS = "write it under quantisation: layers: {NAME: {weight_bits: ..., activation_bits: ...}}"
_DILATION = "use dilation, which only conv2d has"
_WINDOW = "only conv2d, max_pool and avg_pool have one"
_SIDES = "write padding: [rows, columns] or [top, left, bottom, right]; it is zeros"

ALTERNATIVES = {
    # Operators.
    "softmax": _LOGITS,
    "log_softmax": _LOGITS,
    "argmax": _LOGITS,
    "sigmoid": "use activation with function: sigmoid, or leave it out after the last layer",
    "tanh": "use activation with function: tanh",
    "gelu": "use activation with function: gelu",
    "silu": "use activation with function: silu",
    "swish": "use activation with function: silu",
    "elu": "use activation with function: elu",
    "selu": _RELU,
    "softplus": "use activation with function: softplus",
    "mish": "use activation with function: mish",
    "hardswish": "use activation with function: hard_swish",
    "hardsigmoid": _RELU,
    "leaky_relu": _RELU,
    "prelu": _RELU,
    "relu6": "use relu: the learned scale clips",
    "clip": "use relu: the learned scale clips",
    "batch_norm": _BATCH_NORM,
    "bn": _BATCH_NORM,
    "layer_norm": _BATCH_NORM,
    "group_norm": _BATCH_NORM,
    "instance_norm": _BATCH_NORM,
    "dropout": "leave it out: it does nothing at inference",
    "identity": "leave it out",
    "flatten": _FLATTENS,
    "reshape": _FLATTENS,
    "squeeze": _FLATTENS,
    "view": _FLATTENS,
    "transpose": _ONE_ORDER,
    "permute": _ONE_ORDER,
    "conv": "use conv2d",
    "conv1d": "use conv2d with kernel [1, k]",
    "conv3d": "use conv2d",
    "depthwise_conv": "use conv2d with groups equal to its input channels",
    "separable_conv": "use a conv2d with groups equal to its input channels, then one of kernel 1",
    "pointwise_conv": "use conv2d with kernel 1",
    "conv_transpose": _RESOLUTION,
    "deconv": _RESOLUTION,
    "upsample": _RESOLUTION,
    "resize": _RESOLUTION,
    "interpolate": _RESOLUTION,
    "pixel_shuffle": _RESOLUTION,
    "maxpool": "use max_pool",
    "avgpool": "use avg_pool",
    "average_pool": "use avg_pool",
    "mean": "use global_pool with kind: avg",
    "global_avg_pool": "use global_pool with kind: avg",
    "global_average_pool": "use global_pool with kind: avg",
    "adaptive_avg_pool": "use global_pool with kind: avg",
    "global_max_pool": "use global_pool with kind: max",
    "adaptive_max_pool": "use global_pool with kind: max",
    "pad": _PADDING,
    "zero_pad": _PADDING,
    "split": _SLICE,
    "chunk": _SLICE,
    "slice": _SLICE,
    "crop": _SLICE,
    "gather": _SLICE,
    "channel_shuffle": "use conv2d with kernel 1, which mixes channels",
    "sum": _SAME_ADD,
    "sub": f"{_SAME_ADD}; a layer before it can learn the sign",
    "mul": _PAIRWISE,
    "div": _PAIRWISE,
    "matmul": "use linear, whose weights are constants",
    "gemm": "use linear",
    "dense": "use linear",
    "fc": "use linear",
    "fully_connected": "use linear",
    "cat": "use concat",
    "lstm": _RECURRENT,
    "gru": _RECURRENT,
    "rnn": _RECURRENT,
    "attention": "use conv2d or linear, whose weights are constants",
    "embedding": "send the vectors as the input",
    # Keys, and the keys of other layers.
    "dilation": _DILATION,
    "dilations": _DILATION,
    "dilation_rate": _DILATION,
    "ceil_mode": "only max_pool and avg_pool have it",
    "count_include_pad": "only avg_pool has it",
    "output_padding": _RESOLUTION,
    "scale_factor": _RESOLUTION,
    "padding_mode": "leave it out: padding is zeros",
    "pads": _SIDES,
    "auto_pad": _SIDES,
    "groups": "only conv2d has groups",
    "group": "use groups, which only conv2d has",
    "depth_multiplier": "set groups to the input channels and out_channels to a multiple of them",
    "bias": _BIAS,
    "use_bias": _BIAS,
    "activation": "set relu: true, or put a layer of op relu behind it",
    "relu": "put a layer of op relu behind it, which costs nothing where it can be joined",
    "eps": _NORM_CONSTANTS,
    "epsilon": _NORM_CONSTANTS,
    "momentum": _NORM_CONSTANTS,
    "affine": _NORM_CONSTANTS,
    "channels": _CHANNELS,
    "filters": _CHANNELS,
    "units": _FEATURES,
    "out_channels": "only conv2d has them; linear has out_features, all others follow their input",
    "out_features": "only linear has them; conv2d has out_channels, all others follow their input",
    "in_channels": _INFERRED,
    "in_features": _INFERRED,
    "kernel": _WINDOW,
    "stride": _WINDOW,
    "padding": _WINDOW,
    "kernel_size": _KERNEL,
    "kernel_shape": _KERNEL,
    "pool_size": _KERNEL,
    "window": _KERNEL,
    "strides": "use stride",
    "axis": "leave it out: concat joins channels, all else works on rows and columns",
    "dim": "leave it out: concat joins channels, all else works on rows and columns",
    "mode": "name the pooling by its op: max_pool, avg_pool, or global_pool with kind",
    "kind": "only global_pool has a kind; name other pooling by its op, max_pool or avg_pool",
    "type": "use op",
    "input": "use inputs: [NAME]",
    "from": "use inputs: [NAME]",
    "bits": _BITS,
    "weight_bits": _BITS,
    "activation_bits": _BITS,
    "sparsity": "write it under quantisation: layers: {NAME: {sparsity: ...}}",
}
"""Word of other tools, an operator or a key of a layer -> what to write instead."""


def _plain(word: str) -> str:
    """Return a word without what tools spell differently: case, separators, 1d to 3d at the end."""
    return re.sub(r"(?<=\w)[123]d$", "", re.sub(r"[_\-. ]", "", word.lower()))


_PLAIN = {_plain(word): hint for word, hint in reversed(ALTERNATIVES.items())}


def alternative(word: str) -> str | None:
    """Return what to write instead of an operator or key, or None if it is not a known one.

    >>> alternative("LeakyReLU"), alternative("MaxPool2d"), alternative("wombat")
    ('use relu', 'use max_pool', None)
    """
    return ALTERNATIVES.get(word.lower()) or _PLAIN.get(_plain(word))


def unsupported(op: str, known: Collection[str]) -> str:
    """Return the message that refuses an operator: what to write instead, and those ``known``."""
    hint = alternative(op)
    if hint is None:
        near = difflib.get_close_matches(op.lower()[:SHOWN], known, n=1)
        hint = f"did you mean {near[0]}?" if near else "use the layers below"
    return f"op {quoted(op)} is not supported: {hint} (supported: {', '.join(known)})"
