"""Rows of the layer table: one per instruction of the program, with its share of MACs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from codesign.compiler import Plan, bottleneck
from codesign.compiler.mapping.tiles import TileMap
from codesign.report.data import LayerRow
from codesign.results import UserError
from models.files.reading import quoted
from rtl_gen.isa.opcodes import Opcode

_FIELDS = {"out_groups", "groups", "kernel_cols", "kernel_rows", "passes"}
"""Fields of a LAYER instruction that its row needs."""


def layer_rows(
    plan: Plan,
    instructions: Sequence[Mapping[str, Any]] | None = None,
    simulated: Sequence[int] = (),
) -> tuple[LayerRow, ...]:
    """Return one row per instruction except END, in order.

    A layer may take several LAYER instructions; each row has its share of the layer's MACs, without
    those that the instruction leaves out because of zero weights.

    instructions: those of the normal program for the trained weights (program.json); None or empty:
    those of ``plan``. simulated: simulated cycles of each instruction, with or without END; rows
    behind its end have None. With a memory port, what binds a layer is that of ``plan``. Raises
    UserError for instructions with tensors or layers of another
    network.
    """
    schedule = plan.schedule
    layers = {shape.layer.output: shape.index for shape in schedule.shapes}
    tiles_before: Counter[int] = Counter()
    whole = bottleneck.tensor_parts(plan) if schedule.config.memory_port_bits else {}
    rows = []
    for i, step in enumerate(instructions or [step.to_dict() for step in plan.steps]):
        if step["opcode"] == Opcode.END.name:
            continue
        measured = simulated[i] if i < len(simulated) else None
        size = ""
        if step["tensor"] is not None and step["tensor"] not in schedule.network.tensors:
            raise UserError(f"program.json: {quoted(step['tensor'])} is no tensor of the design")
        if step["tensor"] is not None:
            size = " × ".join(str(n) for n in schedule.network.tensors[step["tensor"]].shape)
        if step["opcode"] != Opcode.LAYER.name:
            op = step["opcode"].lower()
            rows.append(LayerRow(step["name"], op, size, step["cycles"], measured))
            continue
        index, fields = layers.get(step["tensor"], -1), step["fields"]
        if index < 0 or not fields.keys() >= _FIELDS:
            raise UserError(f"program.json: {quoted(step['name'])} is no layer of the design")
        layer, shape, tile = plan.layers[index], schedule.shapes[index], schedule.tiles[index]
        first, some = tiles_before[index], fields["out_groups"] + 1
        tiles_before[index] += some
        if first >= tile.tiles:
            raise UserError(f"program.json: {quoted(step['name'])} has no tiles left of its layer")
        last = min((first + some) * tile.channels, shape.out_shape[0])
        macs = layer.macs * (last - first * tile.channels) // shape.out_shape[0]
        per_output = len(shape.layer.sources) * shape.in_shape[0] // shape.layer.groups
        rows.append(
            LayerRow(
                name=step["name"],
                op=layer.op,
                output=size,
                cycles=step["cycles"],
                simulated_cycles=measured,
                macs=macs * _walked(fields) // _walks(tile),
                accumulations=macs // (per_output * shape.kernel_taps),
                weight_bits=shape.layer.weight_bits,
                passes=fields["passes"] + 1,
                bound=bottleneck.bound(
                    whole.get(step["tensor"])
                    or bottleneck.layer_parts(schedule.config, fields, step["cycles"])
                ),
            )
        )
    return tuple(rows)


def _walked(fields: Mapping[str, int]) -> int:
    """Return the input words per output position that a LAYER instruction reads in one pass.

    fields: the instruction's, which hold repetitions less 1.
    """
    return (fields["groups"] + 1) * (fields["kernel_cols"] + 1) * (fields["kernel_rows"] + 1)


def _walks(tile: TileMap) -> int:
    """Return the input words per output position and pass if no words are left out."""
    return tile.taps // (tile.digits * tile.passes * tile.phases)
