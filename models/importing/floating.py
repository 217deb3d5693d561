"""Conversion of the stages of a file of real numbers to a network graph with float weights.

Bits are given to it later, from calibration data or by training. What a layer's codes need not
hold, an upper clip such as that of ReLU6, is kept beside the graph.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.graph.layers import (
    Activation,
    Add,
    AvgPool,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    LayerSpec,
    Linear,
    MaxPool,
    Relu,
)
from models.graph.network import Layer, NetworkGraph
from models.graph.verifier import verify
from models.importing.integers import LOGITS, needed
from models.importing.mapping.stages import Stage, unused
from models.importing.readers.foreign import Reals
from models.importing.readers.table import Table

Weights = dict[str, NDArray[np.float32]]
"""``NAME.weight`` (out, in / groups, rows, cols), of a linear layer (out, channels, rows, cols) of
its input, and ``NAME.bias`` (out,) of every layer that has them."""


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A graph with its float weights. Made by ``float_network`` and ``folder.load``.

    ceilings: largest value that a layer's output has, where the file clips it.
    """

    graph: NetworkGraph
    weights: Weights
    ceilings: Mapping[str, float] = field(default_factory=dict)


def float_network(
    name: str, stages: Mapping[str, Stage], output: str, table: Table
) -> FloatNetwork | None:
    """Return the float network that ends with the stage ``output``; None if stages are refused.

    stages: by name, producers before consumers. Raises ModelError for a network as a whole that is
    none of ours.
    """
    found = needed(stages, output)
    builder = _Builder(found)
    for stage in found.values():
        try:
            builder.add(stage)
        except ModelError as error:
            table.refuse_layer(stage.name, stage.op, error)
    if table.refused:
        return None
    builder.end(found[output])
    graph = verify(NetworkGraph(name, builder.layers))
    return FloatNetwork(graph, builder.weights, builder.ceilings)


class _Builder:
    def __init__(self, stages: dict[str, Stage]) -> None:
        self.stages = stages
        self.layers: list[Layer] = []
        self.weights: Weights = {}
        self.ceilings: dict[str, float] = {}

    def add(self, stage: Stage) -> None:
        """Add the layers of a stage. Raises ModelError."""
        relu = self._relu(stage)
        match stage.op:
            case "input":
                self._put(stage.name, Input(stage.shape), ())
            case "conv2d":
                self._weighted(stage.name, stage, stage.kernels[0].values, relu)
            case "linear":
                self._weighted(stage.name, stage, stage.kernels[0].values, relu)
            case "max_pool":
                self._put(stage.name, _max_pool(stage, self._shape(stage)), stage.inputs)
            case "concat":
                self._put(stage.name, Concat(), stage.inputs)
            case "avg_pool":
                self._average(stage, relu)
            case "add":
                self._sum(stage, relu)
            case "activation":
                if stage.curve is None or stage.curve.gate:
                    raise ModelError("its function is rounded within")
                shared = stage.curve.function, stage.curve.table
                self._put(stage.name, Activation(*shared), stage.inputs)
            case "scale":
                plain = _is_plain(stage.gain, stage.bias)
                if plain and relu:
                    self._put(stage.name, Relu(), stage.inputs)
                else:
                    self._channels(stage.name, stage.inputs[0], stage.gain, stage.bias, relu)

    def end(self, last: Stage) -> None:
        """Add a copy of the outputs where a layer without weights, or with a ReLU, gives them."""
        spec = self.layers[-1].spec
        if not isinstance(spec, Conv2d | Linear) or spec.relu:
            channels = last.shape[0]
            name = self._unused(LOGITS)
            self._channels(name, last.name, np.ones(channels), np.zeros(channels), relu=False)

    def _shape(self, stage: Stage) -> tuple[int, int, int]:
        return self.stages[stage.inputs[0]].shape

    def _unused(self, base: str) -> str:
        """Return a name for a layer that is no stage's: layers to come have names, too."""
        return unused(base, {*self.stages, *(layer.name for layer in self.layers)})

    def _put(self, name: str, spec: LayerSpec, inputs: tuple[str, ...]) -> None:
        self.layers.append(Layer(name, spec, inputs))

    def _relu(self, stage: Stage) -> bool:
        """Return True if a stage clips below 0; note where it clips above."""
        low, high = stage.clip
        if high < math.inf:
            self.ceilings[stage.name] = high
        if low == 0:
            return True
        if low > -math.inf or high < math.inf:
            raise ModelError(f"clips to {low:g}..{high:g}; ReLU and ReLU6 are known")
        return False

    # Layers with weights ---------------------------------------------------------------------

    def _weighted(self, name: str, stage: Stage, values: Reals, relu: bool) -> None:
        values = values * stage.gain[:, None, None, None]
        self.weights[f"{name}.weight"] = values.astype(np.float32)
        self.weights[f"{name}.bias"] = stage.bias.astype(np.float32)
        spec: LayerSpec
        if stage.op == "linear":
            spec = Linear(len(values), relu=relu)
        else:
            spec = Conv2d(
                len(values),
                (values.shape[2], values.shape[3]),
                stage.stride,
                _padding(stage.pads),
                stage.groups,
                relu=relu,
            )
        if spec.output_shape([self._shape(stage)]) != stage.shape:
            raise ModelError(f"windows end short of the map {stage.shape}")
        self._put(name, spec, stage.inputs)

    def _channels(self, name: str, source: str, gain: Reals, bias: Reals, relu: bool) -> None:
        """Add a layer that scales and shifts each channel."""
        channels = len(gain)
        self.weights[f"{name}.weight"] = gain.reshape(-1, 1, 1, 1).astype(np.float32)
        self.weights[f"{name}.bias"] = bias.astype(np.float32)
        self._put(name, Conv2d(channels, (1, 1), groups=channels, relu=relu), (source,))

    def _average(self, stage: Stage, relu: bool) -> None:
        kernel = stage.kernels[0].values
        rows, cols = kernel.shape[2:]
        mean = np.full(len(kernel), 1 / (rows * cols))
        if not _is_plain(stage.gain / mean, stage.bias) or relu:
            self._weighted(stage.name, stage, kernel, relu)
        elif (rows, cols) == self._shape(stage)[1:] and not any(stage.pads):
            self._put(stage.name, GlobalPool("avg"), stage.inputs)
        else:
            spec = AvgPool((rows, cols), stage.stride, _padding(stage.pads))
            if spec.output_shape([self._shape(stage)]) != stage.shape:
                raise ModelError(f"windows reach beyond the padded map ({stage.shape})")
            self._put(stage.name, spec, stage.inputs)

    def _sum(self, stage: Stage, relu: bool) -> None:
        inputs = []
        channels = stage.shape[0]
        for position, (name, kernel) in enumerate(zip(stage.inputs, stage.kernels, strict=True)):
            sign = kernel.values.reshape(channels)
            if (sign < 0).any():
                negative = self._unused(f"{stage.name}_minus{position + 1}")
                self._channels(negative, name, sign, np.zeros(channels), relu=False)
                name = negative
            inputs.append(name)
        if _is_plain(stage.gain, stage.bias):
            self._put(stage.name, Add(relu=relu), tuple(inputs))
            return
        total = self._unused(f"{stage.name}_sum")
        self._put(total, Add(), tuple(inputs))
        self._channels(stage.name, total, stage.gain, stage.bias, relu)


def _is_plain(gain: Reals, bias: Reals) -> bool:
    return bool(np.allclose(gain, 1, rtol=1e-12) and not bias.any())


def _padding(pads: tuple[int, int, int, int]) -> Any:
    """Return (rows, columns) where opposite sides are padded alike, else all four sides."""
    return pads[:2] if pads[:2] == pads[2:] else pads


def _max_pool(stage: Stage, shape: tuple[int, int, int]) -> LayerSpec:
    """Return the max pooling of an input of ``shape``. Raises ModelError."""
    assert stage.window is not None
    if stage.window.kernel == shape[1:] and not any(stage.window.pads):
        return GlobalPool("max")
    for ceil in (False, True):
        pads = _padding(stage.window.pads)
        spec = MaxPool(stage.window.kernel, stage.window.stride, pads, ceil)
        if spec.output_shape([shape]) == stage.shape:
            return spec
    raise ModelError(f"windows reach beyond the padded map ({stage.shape})")
