"""Code generation: a schedule as LOAD, LAYER, EMIT and END, with DMA where memory is used.

``stream`` adds REPEAT. A LAYER is a nest of affine loops; docs/reference/isa.md has all fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codesign.compiler.mapping.parts import Part
from codesign.compiler.mapping.schedule import Schedule, TileMove
from codesign.compiler.mapping.shapes import LayerShape
from codesign.compiler.mapping.tiles import TileMap
from codesign.compiler.program import lookups
from codesign.compiler.program.layout import word_beats
from models.integer.network import requantised
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.encoding import Instruction, instruction_words
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.isa.walk import AddressStep, record_values, reduced


@dataclass(frozen=True)
class ProgramStep:
    """One instruction of a program, its cycles and its name for readers. Made by ``make_step``."""

    name: str
    tensor: str | None
    """Tensor that is moved or computed; None for FETCH, REPEAT, END and waits."""
    values: Mapping[str, int]
    """Fields as plain integers; address steps may be negative, before reduction modulo 2**n."""
    instruction: Instruction
    """Opcode and fields as the bits that are encoded."""
    cycles: int
    """Exact cycles from its fetch to the next fetch in a run of one image, stalls not counted."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: opcode (its name), name, tensor, cycles, and encoded fields."""
        return {
            "opcode": self.instruction.opcode.name,
            "name": self.name,
            "tensor": self.tensor,
            "cycles": self.cycles,
            "fields": dict(self.instruction.fields),
        }


def program_steps(schedule: Schedule) -> tuple[ProgramStep, ...]:
    """Return the program of one image: LOAD, a LAYER for each part, EMIT, END.

    In a tiled network, LOADs, FILLs and SPILLs of bands (``schedule.moves``) take the LOAD's place,
    and a SPILL of no bursts waits at its barriers. With weights from memory, a FETCH of the next
    part, unless it is held, precedes each LAYER (two the first). Each FETCH and FILL waits for the
    one before it; for the last one before the LAYER that reads it, a FETCH of no bursts waits.
    """
    network, config = schedule.network, schedule.config
    cut, moves = schedule.parts, schedule.moves
    steps = list[ProgramStep]() if moves else [_transfer(schedule, Opcode.LOAD, network.input)]
    prefetches, channel_bases = _prefetches(schedule), schedule.channel_bases
    pending = -1
    for index, part in enumerate(cut):
        begins = index == 0 or cut[index - 1].layer != part.layer
        if moves and begins:
            if part.layer in moves.barriers:
                steps.append(make_step(config, "wait for memory", None, Opcode.SPILL, _NO_TILE))
            steps += [
                _transfer(schedule, Opcode.LOAD, move.tensor)
                for move in moves.before.get(part.layer, ())
                if move.opcode is Opcode.LOAD
            ]
        for step, needed in prefetches[index]:
            steps.append(step)
            pending = needed
        if 0 <= pending <= index:
            steps.append(make_step(config, "wait for memory", None, Opcode.FETCH, _WAIT))
            pending = -1
        steps.append(_layer(schedule, part, channel_bases[part.layer]))
        if moves and (index + 1 == len(cut) or cut[index + 1].layer != part.layer):
            steps += [_move(schedule, move) for move in moves.after.get(part.layer, ())]
    logits = network.layers[-1].output
    emit = {"chunks": schedule.result_words - 1, "ahead": 0}
    steps.append(make_step(config, f"emit {logits}", logits, Opcode.EMIT, emit))
    steps.append(make_step(config, "end", None, Opcode.END, {}))
    return tuple(steps)


_WAIT = {"first": 0, "bursts": 0, "weight_base": 0}
_NO_TILE = dict.fromkeys(("first", "bursts", "base", "strip_words", "first_beat", "last_beat"), 0)


def _prefetches(schedule: Schedule) -> list[list[tuple[ProgramStep, int]]]:
    """Return for each part the transfers issued before it: (FETCH or FILL, index of part in need).

    FILLs that the part itself needs come first."""
    cut, moves = schedule.parts, schedule.moves
    first_part = {part.layer: index for index, part in reversed(list(enumerate(cut)))}
    found = list[list[tuple[ProgramStep, int]]]()
    for index, part in enumerate(cut):
        fills = list[tuple[ProgramStep, int]]()
        if moves and first_part[part.layer] == index:
            fills = [
                (_move(schedule, move), first_part[move.needed])
                for move in moves.before.get(part.layer, ())
                if move.opcode is Opcode.FILL
            ]
        at_once = [(step, needed) for step, needed in fills if needed == index]
        fetched = [
            (_fetch(schedule, cut[k]), k)
            for k in ((0, 1) if index == 0 else (index + 1,))
            if k < len(cut) and cut[k].fetched
        ]
        found.append([*at_once, *fetched, *(f for f in fills if f not in at_once)])
    return found


def _fetch(schedule: Schedule, part: Part) -> ProgramStep:
    values = {
        "first": part.first_burst,
        "bursts": part.bursts,
        "weight_base": part.weight_base,
    }
    name = f"fetch {schedule.shapes[part.layer].layer.name}"
    return make_step(schedule.config, name, None, Opcode.FETCH, values)


def _move(schedule: Schedule, move: TileMove) -> ProgramStep:
    """Return the FILL or SPILL of a band's rows, which may begin and end within a burst."""
    location, config = schedule.location_of(move.tensor), schedule.config
    first, begins = divmod(move.first_beat, BURST_BEATS)
    last, ends = divmod(move.first_beat + move.beats - 1, BURST_BEATS)
    values = {
        "first": first,
        "bursts": last - first + 1,
        "base": location.base,
        "strip_words": location.strip_words,
        "first_beat": begins,
        "last_beat": ends,
    }
    name = f"{move.opcode.name.lower()} {move.tensor}"
    return make_step(config, name, move.tensor, move.opcode, values)


def _layer(schedule: Schedule, part: Part, channel_base: int) -> ProgramStep:
    """Return the LAYER of a part; channel_base: first channel table word of the whole layer."""
    shape, tile = schedule.shapes[part.layer], schedule.tiles[part.layer]
    values = _input_fields(schedule, shape, tile, part)
    values |= _output_fields(schedule, shape, tile)
    per_tile = tile.chunks * shape.positions if shape.layer.raw else tile.out_words
    values["out_base"] += part.first * per_tile
    values["weight_base"] = part.weight_base
    values["channel_base"] = channel_base + part.first * tile.chunks
    config, layer = schedule.config, shape.layer
    if config.most_phases > 1:
        values["phases"] = tile.phases - 1
    if config.binary_weights:
        values["binary"] = int(tile.binary)
    if config.activation_tables:
        values["table"] = lookups.number(schedule.network, layer)
    whole = part.tiles == tile.tiles
    name = layer.name if whole else f"{layer.name} from channel {part.first * tile.channels}"
    return make_step(config, name, layer.output, Opcode.LAYER, values)


def traced_steps(schedule: Schedule, steps: Sequence[ProgramStep]) -> tuple[ProgramStep, ...]:
    """Return ``steps`` and a STORE behind the last LAYER that writes each tensor but the logits."""
    traced = []
    ends = {step.tensor: step for step in steps if step.instruction.opcode is Opcode.LAYER}
    for step in steps:
        traced.append(step)
        if ends.get(step.tensor) is step and not step.values["raw"]:
            assert step.tensor is not None
            traced.append(_transfer(schedule, Opcode.STORE, step.tensor))
    return tuple(traced)


def program_words(config: NpuConfig, steps: Sequence[ProgramStep]) -> int:
    """Return the 64-bit words of program memory that ``steps`` take."""
    return sum(instruction_words(config, step.instruction.opcode) for step in steps)


def make_step(
    config: NpuConfig, name: str, tensor: str | None, opcode: Opcode, values: dict[str, int]
) -> ProgramStep:
    """Return the step of an instruction with the plain fields ``values``, its cycles counted."""
    fields = reduced(config, values) if opcode is Opcode.LAYER else values
    instruction = Instruction(opcode, fields)
    cycles = timing.instruction_cycles(config, instruction)
    return ProgramStep(name, tensor, values, instruction, cycles)


def _transfer(schedule: Schedule, opcode: Opcode, tensor: str) -> ProgramStep:
    """Return the LOAD or STORE (``opcode``) of a tensor's whole storage; a LOAD is not ahead."""
    location, config = schedule.location_of(tensor), schedule.config
    values = {
        "base": location.base,
        "strip_words": location.strip_words,
        "last_strip": location.strips - 1,
        "last_words": location.last_rows * location.row_words,
        "beats": word_beats(config, location.view.slots.used_lanes) - 1,
    }
    if opcode is Opcode.LOAD:
        values["ahead"] = 0
    return make_step(config, f"{opcode.name.lower()} {tensor}", tensor, opcode, values)


def _input_fields(
    schedule: Schedule, shape: LayerShape, tile: TileMap, part: Part
) -> dict[str, int]:
    """Return the fields of the input tensor and of the loop nest that walks over it.

    With one source, ``groups`` counts the words of a pixel. With two of one word each, it steps
    from one to the other; with two of more words, ``kernel_cols`` does, idle as the kernel is 1x1.
    That moves the column position, which serves to find padding only: one more is allowed."""
    layer, extent = shape.layer, part.extent
    places = [schedule.location_of(source.tensor) for source in layer.sources]
    starts = [
        location.base + location.view.offset + first + extent.words.start
        for location, first in zip(places, tile.first_words, strict=True)
    ]
    location = places[0]

    def moved(rows: int, columns: int) -> AddressStep:
        return AddressStep(
            rows * location.row_words + columns * location.pixel_words, columns, rows
        )

    groups, group_words = len(extent.words), extent.words.step
    kernel_cols, next_col = len(extent.cols), moved(0, layer.dilation[1])
    if len(starts) > 1 and tile.words == 1:
        groups, group_words = len(starts), starts[1] - starts[0]
    elif len(starts) > 1:
        kernel_cols, next_col = len(starts), AddressStep(starts[1] - starts[0], 1)
    first_col = extent.cols.start * layer.dilation[1] - layer.padding[1]
    start = AddressStep(starts[0] + part.first * tile.step_words)
    first_row = extent.rows.start * layer.dilation[0] - layer.padding[0]
    start += moved(first_row, tile.walk.first if tile.walk else first_col)
    steps = {
        "groups": AddressStep(group_words),
        "kernel_cols": next_col,
        "kernel_rows": moved(layer.dilation[0], 0),
        "digits": AddressStep(location.view.slots.words),
        "pool_cols": moved(0, layer.stride[1]),
        "pool_rows": moved(layer.stride[0], 0),
        "out_cols": moved(0, shape.step[1]),
        "out_rows": moved(shape.step[0], 0),
        "out_groups": AddressStep(tile.step_words),
    }
    counts = {
        "groups": groups - 1,
        "kernel_cols": kernel_cols - 1,
        "kernel_rows": len(extent.rows) - 1,
        "passes": extent.passes - 1,
        "digits": tile.digits - 1,
        "pool_cols": shape.pool[1] - 1,
        "pool_rows": shape.pool[0] - 1,
        "out_cols": tile.fills + shape.out_shape[2] - 1,
        "out_rows": schedule.strips.loop_rows(shape) - 1,
        "out_groups": part.tiles - 1,
    }
    strip_words = location.strip_rows * location.row_words
    walk = record_values(start, steps, counts, location.strip_rows, strip_words)
    reuse = {"reuse": 1 + tile.fills if tile.walk else 0} if schedule.config.reuses_columns else {}
    return {
        **walk,
        **reuse,
        "col_limit": shape.in_shape[2] + (kernel_cols - 1 if len(starts) > 1 else 0),
        "strip_rows": location.strip_rows,
        "strip_words": strip_words,
        "last_strip": location.strips - 1,
        "last_rows": location.last_rows,
        "pad_code": layer.pad_code,
    }


def _output_fields(schedule: Schedule, shape: LayerShape, tile: TileMap) -> dict[str, int]:
    """Return the fields that say where results go and how they are drained; unused ones are 0."""
    layer = shape.layer
    drain = {
        "drain_pixels": schedule.strips.drain_pixels(shape) - 1,
        "drain_chunks": tile.chunks - 1,
        "raw": int(layer.raw),
    }
    scale = () if schedule.config.has_thresholds else ("out_zero", "out_max")
    if layer.raw:
        names = ("out_base", "out_pixel_words", "out_group_words", *scale)
        return drain | dict.fromkeys(names, 0)
    location = schedule.location_of(layer.output)
    zero, bits = requantised(layer, schedule.network.tensors[layer.output])
    return drain | {
        "out_base": location.base + location.view.offset,
        "out_pixel_words": location.pixel_words,
        "out_group_words": tile.out_words,
        **dict(zip(scale, (zero, (1 << bits) - 1), strict=False)),
    }
