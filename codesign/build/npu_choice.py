"""The NPU of a network that is given: the fastest by the estimates that synthesis finds in budget.

Nothing is trained and no network changes: the array's shape is all that is chosen.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.build import imported
from codesign.cost.area import model_file
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.estimate import estimate
from codesign.cost.table import ConfigTable
from codesign.fpga.synthesis import synthesise
from codesign.results import Infeasible, InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.emit import verilog
from rtl_gen.parameters import ConfigError

PRODUCTS = (16, 2048)
"""(Fewest, most) products a cycle of the arrays that are estimated."""
MARGIN = 1.02
"""NPUs of up to this times the budget's LUTs are worth a synthesis, as estimates err both ways."""
TRIED = 6
"""NPUs that are synthesised at most."""
STEP_DOWN = 0.98
"""Each NPU that is tried has at most this times the estimated LUTs of the one that missed."""


@dataclass(frozen=True)
class Chosen:
    """An NPU and the LUTs that synthesis counts for it. Made by ``choose``."""

    npu: NpuConfig
    luts: float


def grid(widths: Mapping[str, Any]) -> Iterator[NpuConfig]:
    """Yield the NPUs to choose from; widths: of activations, accumulators and scales."""
    sizes = (
        (1, 2, 3, 4, 6, 8),
        (4, 8, 12, 16, 24, 32),
        (1, 2, 3, 4),
        (1, 2, 4, 8),
        (2, 4, 8),
        (1, 3),
    )
    low, high = PRODUCTS
    for pixels, lanes, words, units, digit, taps in itertools.product(*sizes):
        if low <= pixels * lanes * lanes * words <= high and lanes % units == 0:
            yield NpuConfig(
                pixels=pixels, lanes=lanes, columns=lanes * words, post_units=units,
                weight_digit_bits=digit, depthwise_taps=taps, **widths,
            )  # fmt: skip


def choose(
    network: IntegerNetwork,
    most_luts: float,
    family: str,
    clock_mhz: float,
    tell: Callable[[str], object] = lambda line: None,
) -> Chosen:
    """Return the NPU of the fewest cycles that takes at most ``most_luts`` LUTs, all synthesised.

    family: of FPGAs, a key of families.FAMILIES. tell: called with a line on each synthesis. Raises
    InfeasibleError where none fits, and as ``synthesise`` does.
    """
    configs = []
    for config in grid(imported.widths(network)):
        with contextlib.suppress(ConfigError):  # of digits that a wide input needs to be narrower
            configs.append(imported.taking_input(config, network))
    if not configs:
        bits = network.tensors[network.input].bits
        levers = ("use fewer input bits", "use fewer weight bits in the first layer")
        raise InfeasibleError(
            (Infeasible("wide_input_passes", network.input, bits, 0, "bits", levers),)
        )
    layers = LayerTable.of([network]).take(np.zeros(len(configs), np.int64))
    found = estimate(model_file.load(), layers, ConfigTable.of(configs), clock_mhz, family)
    runs = found.words.overflow() <= 0
    if not runs.any():
        imported.fitted(configs[0], network)  # raises with the reasons
    smallest = float(np.min(found.area.luts, where=runs, initial=np.inf))
    limit, missed = most_luts * MARGIN, list[float]()
    unfit: InfeasibleError | None = None
    for _ in range(TRIED):
        fits = runs & (found.area.luts <= limit)
        if not fits.any():
            break
        row = int(np.argmin(np.where(fits, found.cycles, np.inf)))
        runs[row] = False
        try:
            npu = imported.fitted(configs[row], network)
        except InfeasibleError as error:  # of what the estimates do not know
            unfit = error
            continue
        luts = float(synthesise(verilog(npu), family=family).figures.luts or 0)
        tell(f"{npu.macs} products per cycle: {luts:,.0f} LUTs after synthesis")
        if luts <= most_luts:
            return Chosen(npu, luts)
        missed.append(luts)
        limit = float(found.area.luts[row]) * STEP_DOWN
    if unfit and not missed:
        raise unfit
    need = min(missed, default=smallest)
    raise InfeasibleError(
        (Infeasible("luts", network.name, need, most_luts, "LUTs", ("raise --lut-budget",)),)
    )
