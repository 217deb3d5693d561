"""Instructions: a schedule as LOAD, LAYER, STORE, EMIT and END (stream.py adds REPEAT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from codesign.compiler.parts import Part
from codesign.compiler.schedule import Schedule
from codesign.compiler.shapes import LayerShape
from codesign.compiler.strips import least_strip_rows
from codesign.compiler.tiles import Extent, TileMap
from rtl_gen import isa, timing
from rtl_gen.config import STREAM_BITS, NpuConfig
from rtl_gen.isa import Instruction, Opcode

TWOS_COMPLEMENT = {"col_first": isa.COLUMN_BITS, "strip_first": isa.STRIP_BITS}
"""Signed LAYER fields and their widths."""
POINTERS = frozenset(
    field.name
    for field in isa.FIELDS[Opcode.LAYER]
    if field.name.endswith("_words") or field.name in ("in_base", "in_group_step")
)
"""LAYER fields that are address steps, modulo 2 * activation_depth."""


@dataclass(frozen=True)
class Step:
    """One instruction of a program, with what it means to a reader.

    ``values`` are its fields as plain integers: signed ones may be negative, addresses and steps
    are not yet reduced modulo the memory. ``instruction`` holds the field's bits.
    """

    name: str
    tensor: str | None
    """What LOAD, LAYER, STORE or EMIT is about."""
    values: Mapping[str, int]
    instruction: Instruction
    cycles: int
    """Exact, from the instruction's fetch to the next one's, in a run of one image; stream stalls
    not counted."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "opcode": self.instruction.opcode.name,
            "name": self.name,
            "tensor": self.tensor,
            "cycles": self.cycles,
            "fields": dict(self.instruction.fields),
        }


def program_steps(schedule: Schedule) -> tuple[Step, ...]:
    """The network as instructions: LOAD, a LAYER for each part, EMIT, END.

    With weights from memory, a FETCH of the next part stands before each LAYER: it waits for the
    one before it, whose weights that LAYER uses.
    """
    network, config = schedule.network, schedule.config
    steps = [_walk(schedule, Opcode.LOAD, network.input)]
    cut = schedule.parts
    fetches = [_fetch(schedule, part) for part in cut if part.bursts]
    if fetches:
        steps.append(fetches[0])
        fetches.append(make_step(config, "wait for weights", None, Opcode.FETCH, _WAIT))
    channel_bases = [0, *accumulate(tile.channel_words for tile in schedule.tiles)]
    for index, part in enumerate(cut):
        steps += fetches[index + 1 : index + 2]
        steps.append(_layer(schedule, part, channel_bases[part.layer]))
    logits = network.layers[-1].output
    emit = {"chunks": schedule.result_words - 1, "ahead": 0}
    steps.append(make_step(config, f"emit {logits}", logits, Opcode.EMIT, emit))
    steps.append(make_step(config, "end", None, Opcode.END, {}))
    return tuple(steps)


_WAIT = {"first": 0, "bursts": 0, "weight_base": 0}


def _fetch(schedule: Schedule, part: Part) -> Step:
    values = {
        "first": part.first_burst,
        "bursts": part.bursts,
        "weight_base": part.weight_base,
    }
    name = f"fetch {schedule.shapes[part.layer].layer.name}"
    return make_step(schedule.config, name, None, Opcode.FETCH, values)


def _layer(schedule: Schedule, part: Part, channel_base: int) -> Step:
    """A part is a layer of fewer tiles that begins further on, and may walk fewer taps."""
    shape, tile = schedule.shapes[part.layer], schedule.tiles[part.layer]
    values = _input_fields(schedule, shape, tile, part.extent)
    values |= _output_fields(schedule, shape, tile)
    values["in_base"] += part.first * values["in_group_step"]
    values["out_base"] += part.first * (tile.chunks if shape.layer.raw else tile.out_words)
    values["out_groups"] = part.tiles - 1
    values["weight_base"] = part.weight_base
    values["channel_base"] = channel_base + part.first * tile.chunks
    if schedule.config.most_phases > 1:
        values["phases"] = tile.phases - 1
    layer = shape.layer
    whole = part.tiles == tile.tiles
    name = layer.name if whole else f"{layer.name} from channel {part.first * tile.channels}"
    return make_step(schedule.config, name, layer.output, Opcode.LAYER, values)


def traced_steps(schedule: Schedule, steps: Sequence[Step]) -> tuple[Step, ...]:
    """``steps`` with a STORE of its output after each layer that writes one."""
    traced = []
    ends = {step.tensor: step for step in steps if step.instruction.opcode is Opcode.LAYER}
    for step in steps:
        traced.append(step)
        if ends.get(step.tensor) is step and not step.values["raw"]:
            assert step.tensor is not None
            traced.append(_walk(schedule, Opcode.STORE, step.tensor))
    return tuple(traced)


def program_words(steps: Sequence[Step]) -> int:
    """32-bit words of program memory."""
    return sum(step.instruction.words for step in steps)


def make_step(
    config: NpuConfig, name: str, tensor: str | None, opcode: Opcode, values: dict[str, int]
) -> Step:
    """The step of these plain ``values``. Raises ValueError for a missing or unknown field."""
    fields = dict(values)
    if opcode is Opcode.LAYER:
        for field, value in values.items():
            if field in TWOS_COMPLEMENT:
                fields[field] = value % (1 << TWOS_COMPLEMENT[field])
            elif field in POINTERS:
                fields[field] = value % (2 * config.activation_depth)
    instruction = Instruction(opcode, fields)
    cycles = timing.instruction_cycles(config, instruction)
    return Step(name, tensor, values, instruction, cycles)


def _walk(schedule: Schedule, opcode: Opcode, tensor: str) -> Step:
    """LOAD or STORE of a tensor's whole storage."""
    place, config = schedule.place_of(tensor), schedule.config
    values = {
        "base": place.base,
        "strip_words": place.strip_words,
        "last_strip": place.strips - 1,
        "last_words": place.last_rows * place.row_words,
        "beats": word_beats(config, place.view.slots.used_lanes) - 1,
    }
    if opcode is Opcode.LOAD:
        values["ahead"] = 0
    return make_step(config, f"{opcode.name.lower()} {tensor}", tensor, opcode, values)


def word_beats(config: NpuConfig, used_lanes: int) -> int:
    """Stream beats of an activation word whose first ``used_lanes`` lanes matter."""
    return -(-used_lanes * config.activation_bits // STREAM_BITS)


def _input_fields(
    schedule: Schedule, shape: LayerShape, tile: TileMap, extent: Extent
) -> dict[str, int]:
    """Input window, reduction taps, pooling window and output positions.

    A single source takes ``groups`` for the words of a pixel. With two sources ``groups`` steps
    from one to the other where each gives one word; else ``groups`` keeps to the words and the
    kernel columns, idle as the kernel is 1x1, step between the sources. They move the column
    position too, which only serves to find padding: there is none, so one more column is allowed.
    """
    layer = shape.layer
    places = [schedule.place_of(source.tensor) for source in layer.sources]
    starts = [
        place.base + place.view.offset + first + extent.words.start
        for place, first in zip(places, tile.first_words, strict=True)
    ]
    place = places[0]
    groups, group_words = len(extent.words), extent.words.step
    kernel_cols, col_words = len(extent.cols), place.pixel_words
    if len(starts) > 1 and tile.words == 1:
        groups, group_words = len(starts), starts[1] - starts[0]
    elif len(starts) > 1:
        kernel_cols, col_words = len(starts), starts[1] - starts[0]
    strip_rows = place.strip_rows
    if layer.name not in schedule.strips.split:
        strip_rows = max(strip_rows, least_strip_rows(shape))
    strip_first, row_first = divmod(extent.rows.start - layer.padding[0], strip_rows)
    rows, cols = schedule.strips.loop_rows(shape), shape.out_shape[2]
    row_step = shape.step[0] if rows > 1 else 0
    col_step = shape.step[1] if cols > 1 else 0
    pool_row_step = layer.stride[0] if shape.pool[0] > 1 else 0
    pool_col_step = layer.stride[1] if shape.pool[1] > 1 else 0
    col_first, col_limit = extent.cols.start - layer.padding[1], shape.in_shape[2]
    if len(starts) > 1:
        col_limit += kernel_cols - 1
    reuse = {}
    if schedule.config.reuses_columns:
        reuse["reuse"] = 1 + tile.fills if tile.walk else 0
    if tile.walk:
        col_first = tile.walk.first
    return reuse | {
        "in_base": starts[0] + col_first * place.pixel_words,
        "col_first": col_first,
        "col_limit": col_limit,
        "strip_first": strip_first,
        "row_first": row_first,
        "row_first_words": row_first * place.row_words,
        "strip_rows": strip_rows,
        "strip_words": strip_rows * place.row_words,
        "last_strip": place.strips - 1,
        "last_rows": place.last_rows,
        "groups": groups - 1,
        "group_words": group_words,
        "kernel_cols": kernel_cols - 1,
        "col_words": col_words,
        "kernel_rows": len(extent.rows) - 1,
        "row_words": place.row_words,
        "passes": extent.passes - 1,
        "pool_cols": shape.pool[1] - 1,
        "pool_col_step": pool_col_step,
        "pool_col_words": pool_col_step * place.pixel_words,
        "pool_rows": shape.pool[0] - 1,
        "pool_row_step": pool_row_step,
        "pool_row_words": pool_row_step * place.row_words,
        "out_cols": tile.fills + cols - 1,
        "out_col_step": col_step,
        "out_col_words": col_step * place.pixel_words,
        "out_rows": rows - 1,
        "out_row_step": row_step,
        "out_row_words": row_step * place.row_words,
        "out_groups": tile.tiles - 1,
        "in_group_step": tile.step_words,
        "pad_code": layer.pad_code,
    }


def _output_fields(schedule: Schedule, shape: LayerShape, tile: TileMap) -> dict[str, int]:
    """Where results go and how they are drained."""
    layer = shape.layer
    drain = {
        "drain_pixels": schedule.strips.drain_pixels(shape) - 1,
        "drain_chunks": tile.chunks - 1,
        "raw": int(layer.raw),
    }
    if layer.raw:
        unused = dict.fromkeys(
            ("out_base", "out_pixel_words", "out_group_words", "out_zero", "out_max"), 0
        )
        return drain | unused
    place = schedule.place_of(layer.output)
    spec = schedule.network.tensors[layer.output]
    return drain | {
        "out_base": place.base + place.view.offset,
        "out_pixel_words": place.pixel_words,
        "out_group_words": tile.out_words,
        "out_zero": spec.zero_point,
        "out_max": (1 << spec.bits) - 1,
    }
