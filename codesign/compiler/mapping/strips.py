"""Spatial partition of feature maps over the pixel lanes: strips of rows, one per memory bank.

Each feature map is cut into at most P strips of contiguous rows; bank b holds strip b, and pixel
lane p computes strip p of the output. All lanes run in lock-step and read the same address, each
from its own bank or, near a strip's edge, from a neighbour's. That works if a strip of a layer's
input has exactly as many rows as the output strip's rows take: output rows times the row step.
Small maps would leave lanes with empty strips, so from some layer on (the break point) results may
come from lane 0 alone and stay in bank 0; layers that read them stay there, too. Every break point
is a candidate schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.shapes import LayerShape
from models.integer.network import ConcatLayer, IntegerNetwork


@dataclass(frozen=True)
class StripPlan:
    """Strips of every stored tensor, and the layers that compute on all pixel lanes.

    Made by ``strip_plans``.

    >>> StripPlan(rows={"image": 8}, split=frozenset()).strips("image", height=30)
    4
    """

    rows: Mapping[str, int]
    """Rows per strip, by tensor; the last strip of a tensor may be shorter."""
    split: frozenset[str]
    """Names of the layers whose results all pixel lanes compute; of others only lane 0's count."""

    def strips(self, tensor: str, height: int) -> int:
        """Return the number of strips, and so of banks, that a tensor of ``height`` rows takes."""
        return -(-height // self.rows[tensor])

    def loop_rows(self, shape: LayerShape) -> int:
        """Return the output rows, after max pooling, that each pixel lane walks.

        They are those of a full strip (all rows if that is less), and all rows of a raw layer.
        """
        if shape.layer.raw:
            return shape.out_shape[1]
        return min(self.rows[shape.layer.output], shape.out_shape[1])

    def drain_pixels(self, shape: LayerShape) -> int:
        """Return the number of pixel lanes whose results are drained; 1 for a raw layer."""
        if shape.layer.raw:
            return 1
        return self.strips(shape.layer.output, shape.out_shape[1])


def strip_plans(
    network: IntegerNetwork, shapes: Sequence[LayerShape], pixels: int
) -> list[StripPlan]:
    """Return the distinct legal plans of all break points, from all layers split to none.

    shapes: loop bounds of the MacLayers, in order; pixels: pixel lanes of the NPU. No two plans
    split the same layers. The plan that splits none has the network's input in strips if that is
    legal, else in bank 0.
    """
    plans: dict[frozenset[str], StripPlan] = {}
    for split_until in range(len(shapes), -2, -1):
        plan = _plan(network, shapes, pixels, split_until)
        if plan is not None:
            plans.setdefault(plan.split, plan)
    return list(plans.values())


def _plan(
    network: IntegerNetwork, shapes: Sequence[LayerShape], pixels: int, split_until: int
) -> StripPlan | None:
    """Return the plan in which MacLayers of an index below ``split_until`` split, where they can.

    A layer cannot if it is raw, has one output row or reads a tensor that lies in bank 0 alone. If
    ``split_until`` is below 0 the input itself lies there. None if tensors that one layer reads, or
    one concat stacks, would have different strips.
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
    """Return the network's input rows per row of each stored tensor; 0 for those in bank 0 alone.

    Strips of the other tensors have rows in inverse proportion to these ratios. split_until: as in
    ``_plan``.
    """
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
    """Return the least rows per input strip with which no row step crosses two strip boundaries.

    It is at least 1. Row steps are those from output to output and within the pooling window. A
    layer that only lane 0 computes needs it of an input that lies in strips.
    """
    steps = [1]
    if shape.out_shape[1] > 1:
        steps.append(shape.step[0])
    if shape.pool[0] > 1:
        steps.append(shape.layer.stride[0])
    return max(steps)
