"""The layer program as rows for tables and charts."""

from __future__ import annotations

from collections.abc import Sequence

from codesign.compiler import Plan
from codesign.report.data import LayerRow
from rtl_gen.isa import Opcode


def layer_rows(plan: Plan, simulated: Sequence[int] = ()) -> tuple[LayerRow, ...]:
    """One row for each LOAD, LAYER and EMIT of ``plan``, in order.

    simulated: cycles of each instruction of the normal program as simulated, END included or not.
    """
    network = plan.schedule.network
    shapes = {shape.layer.output: shape for shape in plan.schedule.shapes}
    layers = dict(zip(shapes, plan.layers, strict=True))
    rows = []
    for index, step in enumerate(plan.steps):
        if step.instruction.opcode is Opcode.END:
            continue
        measured = simulated[index] if index < len(simulated) else None
        assert step.tensor is not None
        size = " × ".join(str(n) for n in network.tensors[step.tensor].shape)
        if step.instruction.opcode is not Opcode.LAYER:
            op = step.instruction.opcode.name.lower()
            rows.append(LayerRow(step.name, op, size, step.cycles, measured))
            continue
        layer, shape = layers[step.tensor], shapes[step.tensor]
        taps = len(shape.layer.sources) * shape.in_shape[0] // shape.layer.groups
        rows.append(
            LayerRow(
                name=step.name,
                op=layer.op,
                output=size,
                cycles=step.cycles,
                simulated_cycles=measured,
                macs=layer.macs,
                accumulations=layer.macs // (taps * shape.kernel_taps),
                weight_bits=shape.layer.weight_bits,
                passes=layer.passes,
            )
        )
    return tuple(rows)
