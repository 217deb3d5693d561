"""Stages of a quantised file that become one layer of ours, and those that take several."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from models.errors import ModelError
from models.importing.mapping.stages import Stage, Window
from models.importing.readers.foreign import Grid


def fused(stages: Mapping[str, Stage]) -> Iterator[tuple[str, str]]:
    """Yield layers with the activation or the max pooling of their results that they take in.

    Both where the activation stands in between.
    """
    for stage in stages.values():
        if stage.op not in ("max_pool", "activation") or (stage.window and any(stage.window.pads)):
            continue
        before = stages[stage.inputs[0]]
        alone = sum(before.name in other.inputs for other in stages.values()) == 1
        if stage.window is None:
            kinds = ("input", "concat", "max_pool", "activation")
            if alone and before.op not in kinds and before.thresholds is None:
                yield before.name, stage.name
            continue
        joins = before.op not in ("input", "concat", "max_pool")
        if alone and joins and _tiles(stage, stage.window, before):
            yield before.name, stage.name


def _tiles(pool: Stage, window: Window, before: Stage) -> bool:
    """Return True if no two windows share a place, and none reaches beyond the map before.

    A layer that pools computes its results place by place, beyond the map as well.
    """
    return all(
        (count == 1 or stride >= size) and (count - 1) * stride + size <= side
        for count, stride, size, side in zip(
            pool.shape[1:], window.stride, window.kernel, before.shape[1:], strict=True
        )
    )


def zero_points(stage: Stage, grid: Grid) -> list[int]:
    """Return the zero points of the layers that a stage needs: the last one is the grid's.

    A layer cuts off below code 0 and above the largest; where the clip lies within the codes, a
    shifted zero point before brings it there.
    """
    top = (1 << grid.bits) - 1
    low, high = grid.low, grid.high
    if stage.clip[0] > -math.inf:
        low = max(low, min(math.floor(stage.clip[0] / grid.scale + 0.5) + grid.zero_point, top))
    if stage.clip[1] < math.inf:
        high = min(high, max(math.floor(stage.clip[1] / grid.scale + 0.5) + grid.zero_point, 0))
    found = []
    if low > 0:
        found.append(grid.zero_point - low)
    if high < top:
        found.append(grid.zero_point + top - high)
    if any(not 0 <= zero <= top for zero in found):
        raise ModelError(
            f"layer {stage.name}: is clipped to {stage.clip[0]:g}..{stage.clip[1]:g}, without 0"
        )
    return [*found, grid.zero_point]
