"""Estimates of many (network, NPU) pairs at once, and their violation of budget constraints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area.blocks import memory_counts
from codesign.cost.area.model import AreaEstimate, AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.cycles.schedule import ScheduleTable, schedule
from codesign.cost.table import ConfigTable
from codesign.cost.timing import TimingModel
from codesign.goals import GOALS
from codesign.results import AREA_CONFIDENCE, RESOURCES, Budget, Figures

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimated area and speed of n designs. Made by ``estimate``."""

    npu: ConfigTable
    """The NPUs, with the memory depths that the networks need, as far as NpuConfig allows them."""
    area: AreaEstimate
    cycles: Floats
    """Cycles per image, shape (n,)."""
    words: ScheduleTable
    """Words that the networks need in each memory, even beyond the largest depth of NpuConfig."""
    clock_mhz: Floats
    """Clock frequency in MHz that throughput and latency assume, shape (n,)."""
    bit_operations: Floats
    """Of one image, as LayerTable counts them, shape (n,)."""

    @property
    def streams(self) -> NDArray[np.bool_]:
        """True where activation memory has room for the next image beside the layers, (n,)."""
        return self.words.streams(self.npu.activation_depth)

    @property
    def images_per_second(self) -> Floats:
        """Throughput of images back to back where there is room for it, else one by one, (n,)."""
        interval = np.where(self.streams, self.words.interval_cycles, self.cycles)
        rate: Floats = self.clock_mhz * 1e6 / interval
        return rate

    @property
    def latency_us(self) -> Floats:
        """Microseconds from start to result of one image, (n,)."""
        return self.cycles / self.clock_mhz

    @property
    def lut_us(self) -> Floats:
        """LUTs times microseconds from image to image, (n,): a proxy of an image's energy.

        It takes all LUTs for equally busy, whatever the network.
        """
        found: Floats = self.area.luts * 1e6 / self.images_per_second
        return found

    def amount(self, goal: str) -> Floats:
        """Return the figure that a goal (results.GOALS) is about, shape (n,)."""
        name = GOALS[goal].figure
        found: Floats = getattr(self.area if name in RESOURCES else self, name)
        return found

    def cost(self, goal: str) -> Floats:
        """Return what a search minimises for a goal, shape (n,): the logarithm of its figure.

        Negated if the figure is to be large, and of one more if the figure may be 0.
        """
        known, amount = GOALS[goal], self.amount(goal)
        if known.best == "maximize":
            return -np.log(amount)
        return np.log(amount + known.more)

    def figures(self, row: int) -> Figures:
        """Return the point estimates of design number ``row``; fields not estimated are None."""
        area = self.area
        return Figures(
            luts=float(area.luts[row]),
            lutrams=float(area.lutrams[row]),
            ffs=float(area.ffs[row]),
            brams=float(area.brams[row]),
            dsps=float(area.dsps[row]),
            cycles_per_image=float(self.cycles[row]),
            interval_cycles=float(self.words.interval_cycles[row]) if self.streams[row] else None,
            images_per_second=float(self.images_per_second[row]),
        )

    def intervals(self, row: int) -> dict[str, tuple[float, float]]:
        """Return resource -> (low, high) of its 90 % prediction interval, of design ``row``.

        Resources are luts, lutrams and ffs, as block RAMs and DSP slices are counted.
        """
        return {
            name: (float(low[row]), float(self.area.high[name][row]))
            for name, low in self.area.low.items()
        }

    def excess(self, budget: Budget, area_factor: float = 1.0) -> Mapping[str, Floats]:
        """Return constraint -> relative violation (need / limit - 1), shape (n,); <= 0 where met.

        Constraints are the limits that ``budget`` sets, and the memory depths. LUTs and flip-flops
        count with their upper confidence bounds (AreaModel.estimate) times area_factor, the
        measured over the estimated area of a design of this search that was synthesised. The
        violation of a resource limit of 0 is the count itself; ``memory`` is that of the memory
        that exceeds the largest depth of NpuConfig most.
        """
        area = self.area
        needs: dict[str, tuple[Floats, float | None]] = {
            "luts": (area.bound["luts"] * area_factor, budget.luts),
            "ffs": (area.bound["ffs"] * area_factor, budget.ffs),
            "brams": (area.brams, budget.brams),
            "dsps": (area.dsps, budget.dsps),
            "latency_us": (self.latency_us, budget.max_latency_us),
            "bit_operations": (self.bit_operations, budget.max_bit_operations),
            "lut_us": (self.lut_us, budget.max_lut_us),
        }
        # The violation of a limit of 0 (DSP slices) is the count itself.
        found = {
            name: need / limit - 1 if limit else need
            for name, (need, limit) in needs.items()
            if limit is not None
        }
        if budget.min_throughput is not None:
            found["throughput"] = budget.min_throughput / self.images_per_second - 1
        found["memory"] = self.words.overflow()
        return found


def violation(excess: Mapping[str, Floats], last: str | None = None) -> Floats:
    """Return the constraint violation, shape (n,): the sum of positive excesses, 0 if feasible.

    excess: as ``Estimate.excess`` returns it. last: a constraint that counts only where all others
    are met: there the violation is below 1, elsewhere the sum of the others and 1.
    """
    parts = [np.maximum(part, 0.0) for name, part in excess.items() if name != last]
    total: Floats = np.sum(parts, axis=0)
    if last is None:
        return total
    own = np.maximum(excess[last], 0.0)
    return np.where(total > 0, 1 + total, own / (1 + own))


def estimate(
    model: AreaModel,
    layers: LayerTable,
    npu: ConfigTable,
    clock: float | TimingModel,
    family: str = "xc7",
    confidence: float = AREA_CONFIDENCE,
    brams: float | None = None,
) -> Estimate:
    """Estimate network i on NPU i, with memory depths as the networks need instead of ``npu``'s.

    clock: frequency in MHz to assume for all NPUs, or the model that estimates what each reaches.
    brams: where more block RAMs would be needed, weight memory is a stack of them if the weights
    fit one that is less deep (``parameters.stacked_depth``) and there is no memory port; None:
    nowhere. family: FPGA family of
    the area, a key of area.model.FAMILY_RATIOS. confidence: one-sided confidence level of the area
    bound that the budget is tested with.
    """
    planned = schedule(layers, npu)
    sized = dataclasses.replace(npu, **planned.depths())
    if brams is not None:
        # Weights from memory fill two halves, whose depth is a power of two.
        over = (memory_counts(sized).brams > brams) & (npu.memory_port_bits == 0)
        depth = np.where(over, planned.stacked(sized.weight_depth), sized.weight_depth)
        sized = dataclasses.replace(sized, weight_depth=depth)
    if isinstance(clock, TimingModel):
        clocks = clock.safe_mhz(sized)
    else:
        clocks = np.full(len(sized), float(clock))
    return Estimate(
        npu=sized,
        area=model.estimate(sized, confidence).on(family),
        cycles=planned.cycles.astype(np.float64),
        words=planned,
        clock_mhz=clocks,
        bit_operations=layers.bit_operations,
    )
