"""ATen operators that move values: their shapes are known, so they are ONNX's with constants."""

from __future__ import annotations

import numpy as np

from models.importing.readers.foreign import Node
from models.importing.readers.table import RefusalError
from models.importing.readers.torch_calls import Call, numbers


def reshape(call: Call) -> list[Node]:
    """Read view, reshape, flatten and their like: the output's shape is known."""
    shape = call.number(np.array(call.shapes[0], np.int64), "shape")
    return call.node("Reshape", call.tensor("self"), shape)


def transpose(call: Call) -> list[Node]:
    """Read permute, transpose and t."""
    axes = list(range(len(call.shape_of("self"))))
    if "dims" in call.args:
        axes = [int(axis) % len(axes) for axis in call.args["dims"]]
    else:
        first, second = (int(call.args.get(key, i)) for i, key in enumerate(("dim0", "dim1")))
        axes[first], axes[second] = axes[second], axes[first]
    return call.node("Transpose", call.tensor("self"), perm=axes)


def slice(call: Call) -> list[Node]:
    """Read slice along one axis."""
    size = call.shape_of("self")[int(call.args["dim"])]
    start, end = call.args["start"], call.args["end"]
    places = (start or 0, size if end is None else min(end, size), call.args["dim"])
    names = [call.number(np.array([n]), f"slice{i}") for i, n in enumerate(places)]
    step = call.number(np.array([call.args["step"]]), "step")
    return call.node("Slice", call.tensor("self"), *names, step)


def select(call: Call) -> list[Node]:
    """Read select: one index of an axis."""
    index = call.number(np.int64(call.args["index"]), "index")
    return call.node("Gather", call.tensor("self"), index, axis=int(call.args["dim"]))


def split(call: Call) -> list[Node]:
    """Read split and chunk, whose parts are known."""
    axis = int(call.args["dim"])
    sizes = call.number(np.array([shape[axis] for shape in call.shapes]), "sizes")
    return call.node("Split", call.tensor("self"), sizes, axis=axis)


def concat(call: Call) -> list[Node]:
    """Read cat."""
    names = [call.reader.tensor(item) for item in call.args["tensors"]]
    return call.node("Concat", *names, axis=int(call.args["dim"]))


def shuffle(call: Call) -> list[Node]:
    """Read channel_shuffle: a transpose between two reshapes."""
    batch, channels, *sizes = call.shape_of("self")
    groups = int(call.args["groups"])
    apart = [batch, groups, channels // groups, *sizes]
    split, mixed = f"{call.outputs[0]}#split", f"{call.outputs[0]}#mixed"
    first = call.number(np.array(apart), "apart")
    last = call.number(np.array([batch, channels, *sizes]), "joined")
    perm = [0, 2, 1, *range(3, len(apart))]
    return [
        Node(call.name, "Reshape", (call.tensor("self"), first), (split,)),
        Node(call.name, "Transpose", (split,), (mixed,), {"perm": perm}),
        *call.node("Reshape", mixed, last),
    ]


def blocks(call: Call) -> list[Node]:
    """Read pixel_shuffle and its inverse."""
    if call.operator.endswith("pixel_unshuffle"):
        return _unshuffle(call)
    block = int(call.args["upscale_factor"])
    return call.node("DepthToSpace", call.tensor("self"), blocksize=block, mode="CRD")


def _unshuffle(call: Call) -> list[Node]:
    batch, channels, rows, cols = call.shape_of("self")
    block = int(call.args["downscale_factor"])
    apart = [batch, channels, rows // block, block, cols // block, block]
    split, mixed = f"{call.outputs[0]}#split", f"{call.outputs[0]}#mixed"
    first = call.number(np.array(apart), "apart")
    last = call.number(np.array(call.shapes[0], np.int64), "joined")
    return [
        Node(call.name, "Reshape", (call.tensor("self"), first), (split,)),
        Node(call.name, "Transpose", (split,), (mixed,), {"perm": [0, 1, 3, 5, 2, 4]}),
        *call.node("Reshape", mixed, last),
    ]


def resized(call: Call) -> list[Node]:
    """Read upsample_nearest, upsample_linear and upsample_bilinear: the output's shape is known."""
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if "linear" in call.operator:
        corners = bool(call.args.get("align_corners"))
        way = "align_corners" if corners else "half_pixel"
        how = {"coordinate_transformation_mode": way, "mode": "linear"}
    sides = call.number(np.array(call.shapes[0], np.int64), "sizes")
    given = call.args.get("scale_factors")
    scales = call.number(np.array([1.0, 1.0, *given]), "scales") if given else ""
    what = call.tensor("input") or call.tensor("self")
    return call.node("Resize", what, "", scales, sides, **how)


def pad(call: Call) -> list[Node]:
    """Read pad and constant_pad_nd."""
    if call.args.get("mode", "constant") != "constant":
        raise RefusalError(f"pads by {call.args['mode']}", "mode", "pad with zeros")
    given = numbers(call.args["pad"])
    axes = len(call.shape_of("self"))
    before, after = [0] * axes, [0] * axes
    for position in range(len(given) // 2):
        before[-1 - position], after[-1 - position] = given[2 * position : 2 * position + 2]
    value = float(call.args.get("value") or 0.0)
    return call.node("Pad", call.tensor("self"), pads=[*before, *after], value=value)
