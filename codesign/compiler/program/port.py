"""The memory port's work beside a program, cycle by cycle where it meets the writes of layers."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from rtl_gen import timing
from rtl_gen.blocks.spill import READ_CYCLES, SPILL_WORDS
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.encoding import Instruction
from rtl_gen.isa.opcodes import Opcode

WORD_CYCLES = READ_CYCLES + 1
"""From a word's read to its first beat on the bus."""


@dataclass(frozen=True)
class Tile:
    """A FILL or SPILL: the cycle of its START, and its words."""

    start: int
    words: int


@dataclass
class Port:
    """What is under way at the memory port, behind which memory answers after ``latency_cycles``
    and then takes or gives a beat per cycle.

    A word meets a layer's write port: post-processing writes first, then FILL, then LOAD; SPILL
    reads when nobody writes. Ends are worked out when they are asked for: by then all is known of
    the layers beside, and while an instruction waits none runs.
    """

    config: NpuConfig
    latency_cycles: int
    posts: set[int] = field(default_factory=set)
    """Cycles in which layers write to activation memory."""
    others: set[int] = field(default_factory=set)
    """Those in which LOADs and FILLs do that are over."""
    fill: Tile | None = None
    spill: Tile | None = None
    read_free: int = 0
    """Cycle from which on a FETCH or FILL may start, while no FILL is under way."""

    def layer(self, instruction: Instruction, now: int) -> None:
        """A LAYER whose fetch is in cycle ``now``."""
        if self.config.memory_tiles:
            self.posts.update((now + timing.write_times(self.config, instruction)).tolist())

    def load(self, instruction: Instruction, start: int) -> None:
        if self.config.memory_tiles:
            f = instruction.fields
            words = f["last_strip"] * f["strip_words"] + f["last_words"]
            beats = f["beats"] + 1
            self.others.update(start + 1 + beats * (i + 1) for i in range(words))

    def move(self, instruction: Instruction, start: int) -> None:
        """A FETCH, FILL or SPILL of at least one burst."""
        f, opcode = instruction.fields, instruction.opcode
        if opcode is Opcode.FETCH:
            self.read_free = start + timing.fetch_cycles(f["bursts"], self.latency_cycles)
            return
        beats = (f["bursts"] - 1) * BURST_BEATS + f["last_beat"] + 1 - f["first_beat"]
        tile = Tile(start, beats // self.config.tile_word_beats)
        if opcode is Opcode.FILL:
            self.fill = tile
        else:
            self.spill = tile

    def free(self, opcode: Opcode) -> int:
        """Cycle from which on an instruction like that may start."""
        if opcode is Opcode.SPILL:
            return self._spilled()
        if self.fill:
            writes = self._filled(self.fill)
            self.others.update(writes)
            self.fill, self.read_free = None, writes[-1] + 1
        return self.read_free

    def _filled(self, tile: Tile) -> list[int]:
        """Cycles in which a FILL writes."""
        beats, writes = self.config.tile_word_beats, []
        now = tile.start + 2 + self.latency_cycles
        for _ in range(tile.words):
            now = _first_without(self.posts, now + beats)
            writes.append(now)
        return writes

    def _spilled(self) -> int:
        if not self.spill:
            return 0
        taken = self.posts | self.others | set(self._filled(self.fill) if self.fill else ())
        beats, read, sends = self.config.tile_word_beats, self.spill.start, list[int]()
        for i in range(self.spill.words):
            room = sends[i - SPILL_WORDS] + beats if i >= SPILL_WORDS else 0
            read = _first_without(taken, max(read + 1, room))
            sends.append(max(read + WORD_CYCLES, sends[-1] + beats if sends else 0))
        self.spill = None
        return sends[-1] + beats + self.latency_cycles


def _first_without(taken: Set[int], cycle: int) -> int:
    while cycle in taken:
        cycle += 1
    return cycle
