"""Conversion of the stages of a quantised file to the integer network, with the file's own numbers.

Products of codes keep the file's weights and zero points. What a file says in real numbers, the
ratio of scales of each channel, becomes a multiplier of SCALE_BITS and a shift; a result is within
one step of exact arithmetic, and seldom not equal.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from models import arithmetic
from models.errors import ModelError
from models.importing.fusing import fused, zero_points
from models.importing.mapping.stages import Stage, Window, unused
from models.importing.numbers import (
    SCALE_BITS,
    Numbers,
    accumulators_of,
    numbers_of,
    rounding_as,
    table_of,
)
from models.importing.readers.foreign import Grid, Ints
from models.importing.readers.table import Row, Table
from models.integer import checks
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)

LOGIT_BITS = 32
"""Nominal width of the logits, which are accumulators."""
_SAME_BIAS = 1e-4
"""Accumulator units that the last layer's biases may lack."""
LOGITS = "logits"
"""Name of the last tensor, where a layer of its own gives the codes of the file's output out."""


def integer_network(
    name: str, stages: Mapping[str, Stage], output: str, table: Table
) -> IntegerNetwork | None:
    """Return the integer network that ends with the stage ``output``; None if stages are refused.

    stages: by name, producers before consumers; those that the output does not need are left out.
    Raises ModelError for a network as a whole that is none of ours.
    """
    builder = _Builder(name, needed(stages, output), output)
    network = builder.build(table)
    if table.refused:
        return None
    checks.check(network)
    return network


def needed(stages: Mapping[str, Stage], output: str) -> dict[str, Stage]:
    """Return the stages that the output's needs, in the order given."""
    wanted = {output}
    for name in reversed(list(stages)):
        if name in wanted:
            wanted.update(stages[name].inputs)
    return {name: stage for name, stage in stages.items() if name in wanted}


class _Builder:
    def __init__(self, name: str, stages: dict[str, Stage], output: str) -> None:
        self.name, self.stages, self.output = name, stages, output
        self.layers: list[MacLayer | ConcatLayer] = []
        self.tensors: dict[str, TensorSpec] = {}
        self.joined: set[str] = set()
        """Tensors that belong to a ConcatLayer."""
        self.rounded: list[Row] = []
        """What rounds other than the file."""
        codes = [one.grid.bits for one in stages.values() if one.grid and one.op != "input"]
        self.offset: tuple[float, ...] = ()
        """Real value of accumulator 0 of each output channel, where a bias is no whole number."""
        self.compares = max(codes, default=0) <= arithmetic.MOST_THRESHOLD_BITS
        """True if an NPU can have thresholds beside all codes."""

    def build(self, table: Table) -> IntegerNetwork:
        """Return the network; what is refused stands in ``table``, and a stand-in in its place."""
        first = next(iter(self.stages.values()))
        joins = dict(fused(self.stages))
        for stage in self.stages.values():
            if stage.name in joins.values():
                continue
            joined = [stage]
            while joined[-1].name in joins:
                joined.append(self.stages[joins[joined[-1].name]])
            try:
                self._stage(stage, joined[1:])
            except ModelError as error:
                table.refuse_layer(stage.name, stage.op, error)
                for one in joined:
                    self._tensor(one.name, one.shape, Grid(1.0, 0, 8, False))
        table.rows += self.rounded
        last = self.stages[self.output]
        if last.grid is not None:
            self._give_out(last)
        return IntegerNetwork(
            self.name, first.name, tuple(self.layers), self.tensors, SCALE_BITS, offset=self.offset
        )

    def _stage(self, stage: Stage, joined: list[Stage]) -> None:
        if stage.op == "input":
            self._tensor(stage.name, stage.shape, _grid(stage))
        elif stage.op == "concat":
            self._concat(stage)
        else:
            self._layers_of(stage, joined)

    def _tensor(self, name: str, shape: tuple[int, int, int], grid: Grid) -> TensorSpec:
        spec = TensorSpec(name, shape, grid.bits, grid.signed, grid.scale, grid.zero_point)
        self.tensors[name] = spec
        return spec

    def _unused(self, base: str) -> str:
        """Return a name for a tensor that is no stage's: stages to come have names, too."""
        return unused(base, {*self.stages, *self.tensors})

    # Layers ----------------------------------------------------------------------------------

    def _layers_of(self, stage: Stage, joined: list[Stage]) -> None:
        """Add the layers of a stage: one, and one more for each end that its clip cuts off.

        joined: the activation and the max pooling that it takes in.
        """
        output = joined[-1] if joined else stage
        curved = next((one for one in (stage, *joined) if one.curve), None)
        if stage.grid is None and stage.name == self.output:
            self._raw(stage)
            return
        grid = _grid(self.stages[stage.inputs[0]] if stage is curved else stage)
        numbers = numbers_of(
            stage, [_grid(self.stages[name]).scale for name in stage.inputs], grid.scale
        )
        numbers, thresholds = self._rounding(stage, numbers, grid)
        window = _pool_window(output.window)
        zeros = zero_points(stage, grid) if thresholds is None else [grid.zero_point]
        for position, zero in enumerate(zeros):
            last = position == len(zeros) - 1
            name = output.name if last else self._unused(f"{stage.name}_clip{position + 1}")
            layer = stage.name if last else name
            if position == 0:
                made = self._mac(stage, numbers, layer, name)
                made = dataclasses.replace(made, thresholds=thresholds)
            else:
                made = self._copy(self.layers[-1].output, layer, name)
            part = Grid(grid.scale, zero, grid.bits, grid.signed)
            if last and curved and curved.curve:
                table = table_of(curved, part, _grid(curved))
                made, part = dataclasses.replace(made, lookup=table), _grid(curved)
            if last and window:
                made = dataclasses.replace(made, pool=window)
            self.layers.append(made)
            shape = output.shape if last else stage.shape
            self._tensor(name, shape, part)

    def _mac(self, stage: Stage, numbers: Numbers, name: str, output: str) -> MacLayer:
        pads = stage.window.pads if stage.window else stage.pads
        return MacLayer(
            name=name,
            op=OPS.get(stage.op, stage.op),
            sources=tuple(
                Source(tensor, weights)
                for tensor, weights in zip(stage.inputs, numbers.weights, strict=True)
            ),
            output=output,
            groups=stage.groups if stage.op in ("conv2d", "linear") else stage.shape[0],
            stride=stage.stride,
            padding=pads[:2],
            # Padding of a max pooling must lose to every code; elsewhere it is the real value 0.
            pad_code=0
            if stage.window or not any(pads)
            else self.tensors[stage.inputs[0]].zero_point,
            weight_bits=numbers.weight_bits,
            bias=numbers.bias,
            requant_multiplier=numbers.multiplier,
            requant_shift=numbers.shift,
        )

    def _rounding(self, stage: Stage, numbers: Numbers, grid: Grid) -> tuple[Numbers, Ints | None]:
        """Return the numbers of a stage that rounds, and its thresholds unless rounding will do.

        Those of equal distances are rounded where that gives the same codes, and where no NPU could
        compare with them, which the table then says.
        """
        thresholds = accumulators_of(stage, numbers)
        if thresholds is None or not stage.even:
            return numbers, thresholds
        reach = sum(
            np.abs(weights).sum(axis=(1, 2, 3)) << self.tensors[tensor].bits
            for tensor, weights in zip(stage.inputs, numbers.weights, strict=True)
        )
        found, exact = rounding_as(numbers, thresholds, grid.zero_point, grid.bits, reach)
        clipped = len(zero_points(stage, grid)) > 1
        if exact and not clipped:
            return found, None
        if self.compares:
            return numbers, thresholds
        note = "rounds: no multiplier has these thresholds, so sums near one may get the next code"
        self.rounded.append(Row(stage.name, "MultiThreshold", "folded", stage.name, note))
        return found, None

    def _copy(self, tensor: str, name: str, output: str, *, raw: bool = False) -> MacLayer:
        """Return a layer that copies codes: their distances from the zero points stay."""
        channels = self.tensors[tensor].shape[0]
        multiplier, shift = arithmetic.nearest_scale(1.0, SCALE_BITS)
        return MacLayer(
            name=name,
            op="requantise",
            sources=(Source(tensor, np.ones((channels, 1, 1, 1), np.int64)),),
            output=output,
            groups=channels,
            stride=(1, 1),
            padding=(0, 0),
            pad_code=0,
            weight_bits=2,
            bias=np.zeros(channels, np.int64),
            requant_multiplier=np.full(channels, 0 if raw else multiplier),
            requant_shift=np.full(channels, 1 if raw else shift),
            raw=raw,
        )

    def _concat(self, stage: Stage) -> None:
        grid, names = _grid(stage), []
        for position, name in enumerate(stage.inputs):
            own = _grid(self.stages[name])
            wider = own.bits != grid.bits
            if wider or name in self.joined or self.stages[name].op in ("input", "concat"):
                copy = self._unused(f"{stage.name}_copy{position + 1}")
                self.layers.append(self._copy(name, copy, copy))
                own = Grid(own.scale, own.zero_point, grid.bits, own.signed)
                self._tensor(copy, self.tensors[name].shape, own)
                name = copy
            self.joined.add(name)
            names.append(name)
        self.layers.append(ConcatLayer(stage.name, tuple(names), stage.name))
        self._tensor(stage.name, stage.shape, grid)

    # The end ---------------------------------------------------------------------------------

    def _raw(self, stage: Stage) -> None:
        """Add the last layer of a file that does not round its output: accumulators go out."""
        scales = [_grid(self.stages[name]).scale for name in stage.inputs]
        numbers = numbers_of(stage, scales, None)
        if stage.clip[0] > -math.inf or stage.clip[1] < math.inf or stage.window:
            raise ModelError(
                f"layer {stage.name}: the network's last layer is clipped or pooled, but not "
                "quantised; quantise the output"
            )
        layer = self._mac(stage, numbers, stage.name, stage.name)
        self.layers.append(dataclasses.replace(layer, raw=True))
        # What a rounded bias lacks is added by the host.
        lack = stage.bias - numbers.bias * numbers.unit
        if stage.bias_codes is None and (np.abs(lack) > _SAME_BIAS * numbers.unit).any():
            self.offset = tuple(map(float, lack))
        # Of each channel, unless all are alike: what is largest is chosen of real values.
        alike = np.ptp(numbers.unit) <= 1e-6 * numbers.unit.max()
        unit = float(numbers.unit.max()) if alike else tuple(map(float, numbers.unit))
        self.tensors[stage.name] = TensorSpec(stage.name, stage.shape, LOGIT_BITS, True, unit)

    def _give_out(self, last: Stage) -> None:
        """Add the layer that gives the output's codes out, less their zero point."""
        grid = _grid(last)
        name = self._unused(LOGITS)
        self.layers.append(self._copy(last.name, name, name, raw=True))
        self.tensors[name] = TensorSpec(name, last.shape, LOGIT_BITS, True, grid.scale)


OPS = {"scale": "requantise"}
"""Operator of a stage -> that of its layer, where they differ."""


def _grid(stage: Stage) -> Grid:
    if stage.grid is None:
        raise ModelError(
            f"layer {stage.name} ({stage.op}): its output is not quantised; quantise the result of "
            "every layer, or none of the network"
        )
    return stage.grid


def _pool_window(window: Window | None) -> PoolWindow | None:
    return PoolWindow(window.kernel, window.stride) if window else None
