"""Differential check of the closed-form cycle model against the compiler's plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from codesign.compiler import plan
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.cycles.schedule import ScheduleTable, schedule
from codesign.cost.table import ConfigTable
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig


def check_closed_form(network: IntegerNetwork, configs: Sequence[NpuConfig]) -> ScheduleTable:
    """Return the network's closed-form schedule on each NPU.

    Checks that its cycles, weight words and program words are those of the compiler's plan for
    weights that are not known.
    """
    table = ConfigTable.of(configs)
    assert [table.config(row) for row in range(len(configs))] == list(configs)
    found = schedule(LayerTable.of([network] * len(configs)), table)
    for row, config in enumerate(configs):
        planned = plan(dataclasses.replace(network, blank=True), config)
        assert found.cycles[row] == planned.cycles
        assert found.weight_depth[row] == planned.use.weight_depth
        assert found.program_depth[row] == planned.use.program_depth
    return found
