"""Strips: how many rows of each tensor one bank holds, and which layers use one pixel lane only.

The P pixel lanes work on P horizontal strips side by side. That lines up while every strip of a
layer's input has ``row step`` times the rows of its output's strips. Small or odd maps would waste
lanes on empty strips, so from some layer on ("break") the results may come from lane 0 alone and
stay in bank 0; what reads them cannot spread out again. Every break point is a candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.shapes import LayerShape
from models.integer.network import ConcatLayer, IntegerNetwork


@dataclass(frozen=True)
class StripPlan:
    """Rows per strip of every stored tensor; ``split`` names the layers that use all lanes."""

    rows: Mapping[str, int]
    split: frozenset[str]

    def strips(self, tensor: str, height: int) -> int:
        """Banks that hold rows of a tensor of ``height`` rows."""
        return -(-height // self.rows[tensor])

    def loop_rows(self, shape: LayerShape) -> int:
        """Output rows that each lane computes."""
        if shape.layer.raw:
            return shape.out_shape[1]
        return min(self.rows[shape.layer.output], shape.out_shape[1])

    def drain_pixels(self, shape: LayerShape) -> int:
        """Lanes that hold results."""
        if shape.layer.raw:
            return 1
        return self.strips(shape.layer.output, shape.out_shape[1])


def strip_plans(
    network: IntegerNetwork, shapes: Sequence[LayerShape], pixels: int
) -> list[StripPlan]:
    """All different legal plans, one per break point: from all layers split to none."""
    plans: dict[frozenset[str], StripPlan] = {}
    for split_until in range(len(shapes), -2, -1):
        plan = _plan(network, shapes, pixels, split_until)
        if plan is not None:
            plans.setdefault(plan.split, plan)
    return list(plans.values())


def _plan(
    network: IntegerNetwork, shapes: Sequence[LayerShape], pixels: int, split_until: int
) -> StripPlan | None:
    """Layers before ``split_until`` split if they can; below 0 the input itself is in bank 0.

    None when tensors that one layer reads, or one concat stacks, would have different strips.
    """
    ratios = _row_ratios(network, shapes, split_until)
    heights = {name: network.tensors[name].shape[1] for name in ratios}
    whole = math.lcm(*(ratio for ratio in ratios.values() if ratio))
    per_unit = {name: whole // ratio for name, ratio in ratios.items() if ratio}
    least = {name: -(-heights[name] // pixels) for name in per_unit}
    split = frozenset(s.layer.name for s in shapes if ratios.get(s.layer.output))
    for shape in shapes:
        if shape.layer.name not in split:
            for source in shape.layer.sources:
                if source.tensor in least:
                    rows_needed = least_strip_rows(shape)
                    least[source.tensor] = max(least[source.tensor], rows_needed)
    unit = max((-(-least[name] // per_unit[name]) for name in per_unit), default=0)
    rows = {name: unit * per_unit.get(name, 0) or heights[name] for name in ratios}
    for layer in network.layers:
        tensors = (
            (*layer.inputs, layer.output)
            if isinstance(layer, ConcatLayer)
            else tuple(source.tensor for source in layer.sources)
        )
        if len({rows[name] for name in tensors}) > 1:
            return None
    return StripPlan(rows, split)


def _row_ratios(
    network: IntegerNetwork, shapes: Sequence[LayerShape], split_until: int
) -> dict[str, int]:
    """Input rows per row of each stored tensor; 0 for tensors that are in bank 0 alone."""
    made = {layer.output for layer in network.layers}
    inputs = (name for name in network.tensors if name not in made)
    ratios = dict.fromkeys(inputs, 1 if split_until >= 0 else 0)
    remaining = iter(shapes)
    for layer in network.layers:
        if isinstance(layer, ConcatLayer):
            ratios[layer.output] = min(ratios[name] for name in layer.inputs)
            continue
        shape = next(remaining)
        if not layer.raw:
            ratio = min(ratios[source.tensor] for source in layer.sources)
            splits = shape.index < split_until and shape.out_shape[1] > 1
            ratios[layer.output] = ratio * shape.step[0] if splits else 0
    return ratios


def least_strip_rows(shape: LayerShape) -> int:
    """Rows per input strip so that no row step crosses more than one strip boundary."""
    steps = [1]
    if shape.out_shape[1] > 1:
        steps.append(shape.step[0])
    if shape.pool[0] > 1:
        steps.append(shape.layer.stride[0])
    return max(steps)
