"""Stages that a recurrent cell is made of: vectors through linear layers, tables, sums, concats."""

from __future__ import annotations

import math

import numpy as np

from models.importing.mapping import kernels
from models.importing.mapping.stages import Curve, Kernel, Stage
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Reals


class Maker:
    """Adds the stages of one cell to a walk, with names that begin alike. Made by ``unrolling``.

    All stages but the input of the cell are vectors (values, 1, 1), and closed.
    """

    def __init__(self, walk: Walk, name: str) -> None:
        self.walk, self.base, self.label = walk, name, name

    def begin(self, step: str) -> None:
        """Give the stages to come the name of a step."""
        self.label = f"{self.base}_{step}"

    def read(self, what: str, value: Value, weights: Reals, bias: Reals) -> Stage:
        """Add a linear layer of some values of a map.

        value: with an index (features,); weights: (out, features); bias: (out,).
        """
        name, index = kernels.within(self.walk, value.stage, self.walk.index(value))
        stage = self.walk.stages[name]
        size = math.prod(stage.shape)
        large = kernels.spread(self.walk, weights, index, size)
        return self._linear(what, stage, large, bias)

    def linear(self, what: str, source: Stage, weights: Reals, bias: Reals | None = None) -> Stage:
        """Add a linear layer of a whole vector; weights: (out, values)."""
        self.walk.memory.take(what, weights.size)
        return self._linear(what, source, weights, np.zeros(len(weights)) if bias is None else bias)

    def held(self, what: str, like: Value, values: Reals) -> Stage:
        """Add a layer that gives the same ``values`` (out,) whatever it reads, that is ``like``."""
        return self.read(what, like, np.zeros((len(values), like.index.size)), values)

    def sum(self, what: str, first: Stage, second: Stage) -> Stage:
        """Add the sum of two vectors."""
        channels = first.shape[0]
        ones = Kernel(np.ones((channels, 1, 1, 1)))
        inputs = (first.name, second.name)
        name = self._name(what)
        return self._add(Stage(name, "add", inputs, first.shape, (ones, ones), channels))

    def curve(self, source: Stage, function: str, table: str) -> Stage:
        """Add an activation function, whose table those of the same name share."""
        name = self.walk.unused(f"{source.name}_{function}")
        curve = Curve(function, table=table)
        return self._add(Stage(name, "activation", (source.name,), source.shape, curve=curve))

    def join(self, what: str, *parts: Stage) -> Stage:
        """Return vectors one behind the other; the only one itself."""
        if len(parts) == 1:
            return parts[0]
        shape = (sum(part.shape[0] for part in parts), 1, 1)
        names = tuple(part.name for part in parts)
        return self._add(Stage(self._name(what), "concat", names, shape))

    def _linear(self, what: str, source: Stage, weights: Reals, bias: Reals) -> Stage:
        kernel = Kernel(weights.reshape(-1, *source.shape))
        shape = (len(weights), 1, 1)
        made = Stage(self._name(what), "linear", (source.name,), shape, (kernel,))
        made.bias = bias.astype(np.float64)
        source.closed = True
        return self._add(made)

    def _name(self, what: str) -> str:
        return self.walk.unused(f"{self.label}_{what}")

    def _add(self, stage: Stage) -> Stage:
        stage.closed = True
        self.walk.add(stage)
        return stage
