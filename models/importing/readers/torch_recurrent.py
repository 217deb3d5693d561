"""ATen's recurrent layers as nodes of ONNX: one for each layer, their gates in its order.

Formulas: PyTorch's documentation of nn.LSTM, nn.GRU and nn.RNN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.importing.readers.foreign import Node, Reals
from models.importing.readers.table import RefusalError
from models.importing.readers.torch_calls import Call

_ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""Operator -> which of torch's gates (i, f, g, o; r, z, n) each of ONNX's is."""
_AFTER = {"LSTM": {}, "GRU": {"linear_before_reset": 1}, "RNN": {}}


def recurrent(op: str, **more: Any) -> Callable[[Call], list[Node]]:
    """Return the reader of aten.lstm, aten.gru and the plain ones; more: attributes of the nodes.

    It raises RefusalError for packed sequences, projections, training and computed states.
    """

    def read(call: Call) -> list[Node]:
        if "input" not in call.args or "params" not in call.args:
            raise RefusalError("reads a packed sequence", "data", "a whole sequence")
        if call.args.get("train"):
            raise RefusalError("is in training mode", "train", "module.eval() before the export")
        return _nodes(call, op, {**_AFTER[op], **more})

    return read


def zeros(call: Call) -> list[Node]:
    """Read zeros, which are the state before the first step: a constant."""
    made = call.number(np.zeros(call.shapes[0]), "zeros")
    call.reader.constants[call.outputs[0]] = call.reader.constants[made]
    return []


def _nodes(call: Call, op: str, given: dict[str, Any]) -> list[Node]:
    layers, both = int(call.args["num_layers"]), bool(call.args["bidirectional"])
    directions, params = 1 + both, [_values(call, item) for item in call.args["params"]]
    hx = call.args["hx"]
    states = [_values(call, item) for item in (hx if isinstance(hx, list | tuple) else [hx])]
    each = len(params) // (layers * directions)
    if each * layers * directions != len(params) or each not in (2, 4):
        raise RefusalError("projects its outputs", "proj_size", "no projection")
    label = call.outputs[0]
    given["direction"] = "bidirectional" if both else "forward"
    found: list[Node] = []

    def add(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> str:
        is_last = kind == op
        operator = call.operator if is_last else ""
        found.append(Node(call.name, kind, tuple(inputs), tuple(outputs), attributes, operator))
        return outputs[0]

    def number(what: str, value: Any) -> str:
        return str(call.number(value, what))

    x, batch_first = call.tensor("input"), bool(call.args["batch_first"])
    if batch_first:
        x = add("Transpose", [x], [f"{label}#x"], perm=[1, 0, 2])
    ends: list[list[str]] = [[] for _ in states]
    for layer in range(layers):
        first = layer * directions
        own = [params[(first + i) * each : (first + i + 1) * each] for i in range(directions)]
        names = [
            number(f"{layer}{what}", np.stack([_ordered(one[place], op) for one in own]))
            for place, what in enumerate("WR")
        ]
        if each == 4:
            both_of = [np.concatenate([_ordered(part, op) for part in one[2:]]) for one in own]
            names.append(number(f"{layer}B", np.stack(both_of)))
        inits = [
            number(f"{layer}{what}", state[first : first + directions])
            for what, state in zip("hc", states, strict=False)
        ]
        outputs = [f"{label}#{layer}{what}" for what in ("Y", "Yh", "Yc")[: 1 + len(states)]]
        units = own[0][1].shape[1]
        names += [""] * (4 - len(names))  # no bias, lengths
        y = add(op, [x, *names, *inits], outputs, hidden_size=units, **given)
        for end, name in zip(ends, outputs[1:], strict=True):
            end.append(name)
        y = add("Transpose", [y], [f"{y}#t"], perm=[0, 2, 1, 3])
        shape = number(f"{layer}shape", np.array([0, 0, directions * units]))
        is_last = layer == layers - 1 and not batch_first
        x = add("Reshape", [y, shape], [call.outputs[0] if is_last else f"{y}#r"])
    if batch_first:
        add("Transpose", [x], [call.outputs[0]], perm=[1, 0, 2])
    for end, output in zip(ends, call.outputs[1:], strict=False):
        if len(end) == 1:
            add("Identity", end, [output])
        else:
            add("Concat", end, [output], axis=0)
    return found


def _values(call: Call, item: Any) -> Reals:
    """Return a parameter or a state, which must be constant. Raises RefusalError."""
    name = str(call.reader.tensor(item))
    if name not in call.reader.constants:
        raise RefusalError("its weights or first states are computed", "hx", "constants")
    found: Reals = call.reader.constants[name].values
    return found


def _ordered(array: Reals, op: str) -> Reals:
    """Return rows of gates in ONNX's order."""
    blocks = np.split(array, len(_ORDERS[op]))
    return np.concatenate([blocks[place] for place in _ORDERS[op]])
