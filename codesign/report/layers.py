"""The layer program as rows for tables and charts."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.compiler import Plan
from codesign.report.data import LayerRow
from rtl_gen.isa import Opcode


def layer_rows(plan: Plan, simulated: Sequence[int] = ()) -> tuple[LayerRow, ...]:
    """One row for each instruction of ``plan`` but END, in order; a part of a layer has its share
    of the products.

    simulated: cycles of each instruction of the normal program as simulated, END included or not.
    """
    schedule = plan.schedule
    network = schedule.network
    parts = iter(schedule.parts)
    rows = []
    for index, step in enumerate(plan.steps):
        opcode = step.instruction.opcode
        if opcode is Opcode.END:
            continue
        measured = simulated[index] if index < len(simulated) else None
        size = ""
        if step.tensor is not None:
            size = " × ".join(str(n) for n in network.tensors[step.tensor].shape)
        if opcode is not Opcode.LAYER:
            rows.append(LayerRow(step.name, opcode.name.lower(), size, step.cycles, measured))
            continue
        part = next(parts)
        layer, shape = plan.layers[part.layer], schedule.shapes[part.layer]
        channels = schedule.tiles[part.layer].channels
        last = min((part.first + part.tiles) * channels, shape.out_shape[0])
        macs = layer.macs * (last - part.first * channels) // shape.out_shape[0]
        taps = len(shape.layer.sources) * shape.in_shape[0] // shape.layer.groups
        rows.append(
            LayerRow(
                name=step.name,
                op=layer.op,
                output=size,
                cycles=step.cycles,
                simulated_cycles=measured,
                macs=macs,
                accumulations=macs // (taps * shape.kernel_taps),
                weight_bits=shape.layer.weight_bits,
                passes=layer.passes,
            )
        )
    return tuple(rows)
