"""Twin: the NPU's behaviour at instruction level in numpy, exact in results, errors and cycles.

It knows no networks: like the hardware it executes program words on stream beats, and keeps its
memories from run to run. It is the fast functional model (no clock), and what the RTL is compared
with when a network test fails. A LOAD ahead is done at once here: a program whose layers use its
words before the next EMIT, as no sound one does, may find other data in the RTL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rtl_gen import isa, timing, twin_layer, twin_reuse
from rtl_gen.config import STREAM_BITS, NpuConfig
from rtl_gen.isa import ErrorCode, Instruction, Opcode
from rtl_gen.twin_lanes import pack_lanes, unpack_lanes
from rtl_gen.twin_layer import TwinError

Beat = tuple[int, bool]
"""(TDATA, TLAST)"""


class TwinInputError(ValueError):
    """A memory image that does not fit, or a stream that ends where the NPU would wait for ever."""


@dataclass(frozen=True)
class TwinResult:
    """What one run left behind."""

    output_beats: list[Beat]
    error: ErrorCode
    error_instruction: int
    """Index of the instruction that stopped the run; 0 without an error."""
    cycle_log: list[int]
    """CYCLES at the end of each instruction that finished, in the order of execution."""
    beats_used: int
    """Input beats taken, those discarded after STREAM_LONG included."""


@dataclass
class _Run:
    """State of one run."""

    beats: Sequence[Beat]
    images_left: int = 1
    used: int = 0
    output: list[Beat] = field(default_factory=list)
    log: list[int] = field(default_factory=list)


class Twin:
    """One NPU. ``load_*`` write its memories from address 0 on; ``run`` is one start."""

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        c = config
        self._program = [0] * (isa.BUS_WORDS * c.program_depth)
        self._weights = np.zeros((c.weight_depth, c.weight_word_columns), np.uint32)
        self._channels = np.zeros((c.channel_depth, 2 * c.post_units), np.uint32)
        self._activations = np.zeros((c.pixels, c.activation_depth, c.lanes), np.uint8)
        self._results = np.zeros((c.result_depth, c.post_units), np.int64)
        self.memory = np.zeros(0, np.uint32)
        """Behind the memory port, as ``load_memory`` and SPILLs left it."""

    def load_program(self, words: Sequence[int]) -> None:
        """Raises TwinInputError when ``words`` exceed the program memory."""
        if len(words) > len(self._program):
            raise TwinInputError(f"program of {len(words)} words, at most {len(self._program)} fit")
        self._program[: len(words)] = words

    def load_weights(self, image: NDArray[np.uint32]) -> None:
        """image: uint32 [words, weight_word_columns]."""
        _load(self._weights, image, "weight image")

    def load_channels(self, image: NDArray[np.uint32]) -> None:
        """image: uint32 [words, 2 * post_units]: bias, multiplier | shift << 16 per unit."""
        _load(self._channels, image, "channel image")

    def load_memory(self, words: NDArray[np.uint32]) -> None:
        """Memory from MEMORY_BASE on: uint32 [words], the low ones of a beat first."""
        self.memory = words.reshape(-1).copy()

    def run(self, stream_beats: Sequence[Beat], watchdog: int = 0, images: int = 1) -> TwinResult:
        """One start. ``watchdog``: limit on cycles, 0 for none; ``images``: register IMAGES.

        Raises TwinInputError when a LOAD waits for beats that never come (no watchdog set).
        """
        state = _Run(stream_beats, max(images, 1))
        cycles, position, index = timing.START_CYCLES, 0, 0
        error = ErrorCode.NONE
        try:
            while True:
                instruction, position = self._fetch(position)
                last = state.images_left == 1
                cycles += timing.instruction_cycles(self.config, instruction, last=last)
                if watchdog and cycles > watchdog:
                    raise TwinError(ErrorCode.WATCHDOG)
                self._execute(instruction, state, bool(watchdog))
                state.log.append(cycles)
                if instruction.opcode is Opcode.END:
                    break
                index += 1
                if instruction.opcode is Opcode.REPEAT and not last:
                    state.images_left -= 1
                    position, index = instruction.fields["target"], instruction.fields["index"]
        except TwinError as stop:
            error = stop.code
        return TwinResult(state.output, error, index if error else 0, state.log, state.used)

    def _fetch(self, position: int) -> tuple[Instruction, int]:
        """The instruction at ``position``, its fields checked, and the position after it."""
        c, first = self.config, isa.BUS_WORDS * position
        if first >= len(self._program):
            raise TwinError(ErrorCode.PROGRAM)
        try:
            opcode = Opcode(self._program[first])
        except ValueError:
            raise TwinError(ErrorCode.OPCODE) from None
        if opcode not in isa.opcodes(c) or any(self._program[first + 1 : first + isa.BUS_WORDS]):
            raise TwinError(ErrorCode.OPCODE)
        whole = isa.BUS_WORDS * isa.instruction_words(c, opcode)
        words = self._program[first : first + whole]
        try:  # what lies beyond the end reads as 0
            instruction, _ = isa.decode(c, words + [0] * (whole - len(words)), 0)
        except ValueError:
            raise TwinError(ErrorCode.FIELD) from None
        if len(words) < whole:
            raise TwinError(ErrorCode.PROGRAM)
        return instruction, position + whole // isa.BUS_WORDS

    def _execute(self, instruction: Instruction, state: _Run, watched: bool) -> None:
        if instruction.opcode is Opcode.LOAD:
            if instruction.fields["ahead"] and state.images_left == 1:
                return
            self._load(instruction, state, watched)
        elif instruction.opcode is Opcode.LAYER:
            self._layer(instruction)
        elif instruction.opcode is Opcode.STORE:
            self._store(instruction, state)
        elif instruction.opcode is Opcode.EMIT:
            self._emit(instruction, state)
        elif instruction.opcode is Opcode.FETCH:
            self._fetch_weights(instruction)
        elif instruction.fields.get("bursts"):
            move = self._fill if instruction.opcode is Opcode.FILL else self._spill
            move(instruction)

    # Streams -------------------------------------------------------------------------------

    def _walk(self, instruction: Instruction) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Banks and addresses of a LOAD or STORE, word by word."""
        f = instruction.fields
        endless = 2 * self.config.activation_depth  # a count of 0 wraps, and leaves the memory
        sizes = [f["strip_words"] or endless] * f["last_strip"] + [f["last_words"] or endless]
        bank = np.repeat(np.arange(len(sizes)), sizes)
        address = np.concatenate([f["base"] + np.arange(size) for size in sizes])
        return bank, address

    def _outside(self, bank: NDArray[np.int64], address: NDArray[np.int64]) -> int | None:
        """Index of the first word outside the buffers, if any."""
        outside = (bank >= self.config.pixels) | (address >= self.config.activation_depth)
        return int(np.argmax(outside)) if outside.any() else None

    def _load(self, instruction: Instruction, state: _Run, watched: bool) -> None:
        c, beats = self.config, instruction.fields["beats"] + 1
        bank, address = self._walk(instruction)
        first_outside = self._outside(bank, address)
        total = len(bank) * beats if first_outside is None else (first_outside + 1) * beats
        taken = state.beats[state.used : state.used + total]
        lasts = [i for i, (_, last) in enumerate(taken) if last]
        state.used += lasts[0] + 1 if lasts else len(taken)
        final = len(bank) * beats - 1
        if lasts and lasts[0] < final and lasts[0] < total - 1:
            raise TwinError(ErrorCode.STREAM_SHORT)
        if len(taken) < total:
            if watched:
                raise TwinError(ErrorCode.WATCHDOG)
            raise TwinInputError(f"LOAD waits for {total} beats, the stream has {len(taken)}")
        if first_outside is not None:
            raise TwinError(ErrorCode.ADDRESS)
        data = np.array([value for value, _ in taken], np.uint32).reshape(len(bank), beats)
        self._activations[bank, address] = unpack_lanes(data, c.lanes, c.activation_bits)
        if not lasts:
            self._discard(state)
            raise TwinError(ErrorCode.STREAM_LONG)

    def _discard(self, state: _Run) -> None:
        """Drop beats up to the next TLAST."""
        while state.used < len(state.beats):
            state.used += 1
            if state.beats[state.used - 1][1]:
                return

    def _store(self, instruction: Instruction, state: _Run) -> None:
        beats = instruction.fields["beats"] + 1
        bank, address = self._walk(instruction)
        first_outside = self._outside(bank, address)
        codes = self._activations[bank[:first_outside], address[:first_outside]]
        data = pack_lanes(codes, self.config.activation_bits, beats).reshape(-1)
        state.output += [(int(value), False) for value in data]
        if first_outside is not None:
            raise TwinError(ErrorCode.ADDRESS)
        state.output[-1] = (state.output[-1][0], True)

    def _emit(self, instruction: Instruction, state: _Run) -> None:
        values = self._results[: instruction.fields["chunks"] + 1].reshape(-1)
        words = (values & 0xFFFFFFFF).tolist()
        state.output += [(value, i == len(words) - 1) for i, value in enumerate(words)]

    def _fetch_weights(self, instruction: Instruction) -> None:
        """Done at once here, as a LOAD ahead is."""
        f, c = instruction.fields, self.config
        first, end = (b * isa.burst_words(c) for b in (f["first"], f["first"] + f["bursts"]))
        if end > len(self.memory):
            raise TwinError(ErrorCode.ADDRESS)
        per_word = c.fetched_word_beats * c.memory_port_bits // STREAM_BITS
        place = np.arange(end - first)
        word, column = f["weight_base"] + place // per_word, place % per_word
        kept = column < c.weight_word_columns
        self._weights[word[kept] % c.weight_depth, column[kept]] = self.memory[first:end][kept]

    def _tile(self, instruction: Instruction) -> tuple[slice, NDArray[np.int64], NDArray[np.int64]]:
        """Words of memory that a FILL or SPILL moves; bank and address of each activation word."""
        f, c = instruction.fields, self.config
        end = f["last_beat"]
        if f["bursts"] == 1 and end < f["first_beat"]:
            end = isa.BURST_BEATS - 1
        beats = range(f["first_beat"], (f["bursts"] - 1) * isa.BURST_BEATS + end + 1)
        per_beat = c.memory_port_bits // STREAM_BITS
        start = (f["first"] * isa.BURST_BEATS + beats.start) * per_beat
        moved = slice(start, start + len(beats) * per_beat)
        if moved.stop > len(self.memory):
            raise TwinError(ErrorCode.ADDRESS)
        index = np.arange(-(-len(beats) // c.tile_word_beats))
        strip_words = f["strip_words"] or 2 * c.activation_depth  # a count of 0 wraps
        return moved, index // strip_words, f["base"] + index % strip_words

    def _fill(self, instruction: Instruction) -> None:
        """Done at once here, as a FETCH is."""
        c = self.config
        moved, bank, address = self._tile(instruction)
        data = self.memory[moved]
        whole = len(data) * STREAM_BITS // (c.tile_word_beats * c.memory_port_bits)
        data = data[: whole * c.tile_word_beats * c.memory_port_bits // STREAM_BITS]
        bank, address = bank[:whole], address[:whole]
        first_outside = self._outside(bank, address)
        codes = unpack_lanes(data.reshape(whole, -1), c.lanes, c.activation_bits)
        kept = slice(first_outside)
        self._activations[bank[kept], address[kept]] = codes[kept]
        if first_outside is not None:
            raise TwinError(ErrorCode.ADDRESS)

    def _spill(self, instruction: Instruction) -> None:
        c = self.config
        moved, bank, address = self._tile(instruction)
        if self._outside(bank, address) is not None:
            raise TwinError(ErrorCode.ADDRESS)
        words = c.tile_word_beats * c.memory_port_bits // STREAM_BITS
        data = pack_lanes(self._activations[bank, address], c.activation_bits, words).reshape(-1)
        self.memory[moved] = data[: moved.stop - moved.start]

    # LAYER ---------------------------------------------------------------------------------

    def _layer(self, instruction: Instruction) -> None:
        c, f = self.config, instruction.fields
        passes, phases, chunks = f["passes"] + 1, f.get("phases", 0) + 1, f["drain_chunks"] + 1
        pixels, columns = f["drain_pixels"] + 1, chunks * c.post_units
        nothing_drains = f.get("reuse", 0) - 1 > f["out_cols"]
        if pixels > c.pixels or chunks > c.chunks or nothing_drains:
            raise TwinError(ErrorCode.FIELD)
        block = passes * (f["kernel_rows"] + 1) * (f["kernel_cols"] + 1) * (f["groups"] + 1)
        block *= phases
        results = f["out_base"] if c.memory_port_bits else 0  # a part of a layer goes on
        for tile in range(f["out_groups"] + 1):
            words = _window(self._weights, f["weight_base"] + tile * block, block)
            table = _window(self._channels, f["channel_base"] + tile * chunks, chunks)
            weights = twin_layer.tile_weights(c, words, passes, phases)
            if f.get("reuse"):
                weights = twin_reuse.widened(c, weights, f)
            channels = twin_layer.tile_channels(c, table)
            acc = twin_layer.accumulate(c, self._activations, f, tile, weights)
            biased = acc[:pixels, ..., :columns] + channels.bias
            if f["raw"]:
                results = self._keep_raw(biased, results)
            else:
                self._write(twin_layer.activate(c, biased, channels, f), tile, f)

    def _keep_raw(self, biased: NDArray[np.int64], first: int) -> int:
        """Biased accumulators in drain order to result words ``first``...; the next free word."""
        wrapped = twin_layer.signed(biased, self.config.accumulator_bits)
        words = wrapped.transpose(1, 3, 2, 4, 0, 5).reshape(-1, self.config.post_units)
        end = first + len(words)
        if end > self.config.result_depth:
            raise TwinError(ErrorCode.ADDRESS)
        self._results[first:end] = words
        return end

    def _write(self, codes: NDArray[np.int64], tile: int, f: Mapping[str, int]) -> None:
        """codes: [drained pixels, out_rows, out_cols, columns] of output tile ``tile``."""
        c = self.config
        pixels, rows, cols, columns = codes.shape
        words = columns // c.lanes
        position = np.arange(rows * cols) * f["out_pixel_words"]
        address = f["out_base"] + tile * f["out_group_words"] + position[:, None] + np.arange(words)
        address %= 2 * c.activation_depth
        if np.any(address >= c.activation_depth):
            raise TwinError(ErrorCode.ADDRESS)
        grid = codes[..., : words * c.lanes].reshape(pixels, rows * cols, words, c.lanes)
        self._activations[np.arange(pixels)[:, None, None], address] = grid


def _load(memory: NDArray[np.uint32], image: NDArray[np.uint32], what: str) -> None:
    if image.ndim != 2 or image.shape[1] != memory.shape[1] or len(image) > len(memory):
        raise TwinInputError(
            f"{what} must be [up to {len(memory)}, {memory.shape[1]}], not {list(image.shape)}"
        )
    memory[: len(image)] = image


def _window(memory: NDArray[np.uint32], first: int, count: int) -> NDArray[np.uint32]:
    if first + count > len(memory):
        raise TwinError(ErrorCode.ADDRESS)
    return memory[first : first + count]
