"""Estimate of many (network, NPU) pairs at once, and the hard budget test on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area.model import AreaEstimate, AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.cycles.schedule import schedule
from codesign.cost.table import ConfigTable
from codesign.results import AREA_CONFIDENCE, Budget, Figures

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """What n designs take. ``npu`` has the depths that the networks need."""

    npu: ConfigTable
    area: AreaEstimate
    cycles: Floats
    fits: NDArray[np.bool_]
    """Whether every memory stays within what NpuConfig allows."""
    clock_mhz: float

    @property
    def images_per_second(self) -> Floats:
        rate: Floats = self.clock_mhz * 1e6 / self.cycles
        return rate

    def figures(self, row: int) -> Figures:
        """One design's middle estimates."""
        area = self.area
        return Figures(
            luts=float(area.luts[row]),
            lutrams=float(area.lutrams[row]),
            ffs=float(area.ffs[row]),
            brams=float(area.brams[row]),
            dsps=float(area.dsps[row]),
            cycles_per_image=float(self.cycles[row]),
            images_per_second=float(self.images_per_second[row]),
        )

    def intervals(self, row: int) -> dict[str, tuple[float, float]]:
        """90 % interval of each learned resource of one design."""
        return {
            name: (float(low[row]), float(self.area.high[name][row]))
            for name, low in self.area.low.items()
        }

    def excess(self, budget: Budget, area_factor: float = 1.0) -> Mapping[str, Floats]:
        """Constraint -> [n] share by which it is broken; <= 0 is met. Only what is limited.

        Learned resources count with their upper bounds (AreaModel.estimate). area_factor corrects
        LUTs and FFs by what synthesis of a design of this search came to.
        """
        area = self.area
        needs: dict[str, tuple[Floats, float | None]] = {
            "luts": (area.bound["luts"] * area_factor, budget.luts),
            "ffs": (area.bound["ffs"] * area_factor, budget.ffs),
            "brams": (area.brams, budget.brams),
            "dsps": (area.dsps, budget.dsps),
            "latency_us": (self.cycles / self.clock_mhz, budget.max_latency_us),
        }
        # A limit of 0 (DSPs) is broken by the count itself.
        found = {
            name: need / limit - 1 if limit else need
            for name, (need, limit) in needs.items()
            if limit is not None
        }
        if budget.min_throughput is not None:
            found["throughput"] = budget.min_throughput / self.images_per_second - 1
        found["memory"] = np.where(self.fits, 0.0, 1.0)
        return found


def violation(excess: Mapping[str, Floats]) -> Floats:
    """[n] sum of the broken shares; 0 when all constraints are met."""
    total: Floats = np.sum([np.maximum(part, 0.0) for part in excess.values()], axis=0)
    return total


def estimate(
    model: AreaModel,
    layers: LayerTable,
    npu: ConfigTable,
    clock_mhz: float,
    family: str = "xc7",
    confidence: float = AREA_CONFIDENCE,
) -> Estimate:
    """Network i on NPU i; the depths of ``npu`` are replaced by what the networks need.

    confidence: one-sided confidence level of the area bound that the budget is tested with.
    """
    planned = schedule(layers, npu)
    sized = dataclasses.replace(npu, **planned.depths())
    return Estimate(
        npu=sized,
        area=model.estimate(sized, confidence).on(family),
        cycles=planned.cycles.astype(np.float64),
        fits=planned.fits(),
        clock_mhz=clock_mhz,
    )
