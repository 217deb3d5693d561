"""Cycle-exact model of the memory port's transfers, and of their conflicts with the layers' writes.

They share the write port of activation memory: in each cycle post-processing writes first, then
FILL, then LOAD, and SPILL reads through the port in cycles without a write. So FILL and SPILL end
later, the more words the layers beside them write.
"""

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
"""Cycles from the one in which SPILL reads a word to that of the word's first beat on the bus."""


@dataclass(frozen=True)
class PortTransfer:
    """A FILL or SPILL under way: the cycle of its START, and the activation words that it moves.

    Made by ``Port.move``.
    """

    start: int
    words: int


@dataclass
class Port:
    """State of the memory port along a program; cycles count from the run's start.

    Made by ``memory.waits``.

    External memory answers after ``latency_cycles`` and then takes or gives a beat per cycle. The
    end of a transfer is computed when a later one asks for it (``free``): by then all writes of the
    layers beside it are known, as no layer runs while an instruction waits.
    """

    config: NpuConfig
    latency_cycles: int
    posts: set[int] = field(default_factory=set)
    """Cycles in which post-processing writes a layer's results to activation memory."""
    others: set[int] = field(default_factory=set)
    """Cycles in which LOADs, and FILLs that are over, write to activation memory."""
    fill: PortTransfer | None = None
    """The FILL under way; its end is not known yet."""
    spill: PortTransfer | None = None
    """The SPILL under way; its end is not known yet."""
    read_free: int = 0
    """First cycle in which a FETCH or FILL may start, valid while no FILL is under way."""

    def layer(self, instruction: Instruction, now: int) -> None:
        """Note the writes of a LAYER that is fetched in cycle ``now``, if the NPU has FILL."""
        if self.config.memory_tiles:
            self.posts.update((now + timing.write_times(self.config, instruction)).tolist())

    def load(self, instruction: Instruction, start: int) -> None:
        """Note the writes of a LOAD whose START is in cycle ``start``, if the NPU has FILL."""
        if self.config.memory_tiles:
            f = instruction.fields
            words = f["last_strip"] * f["strip_words"] + f["last_words"]
            beats = f["beats"] + 1
            self.others.update(start + 1 + beats * (i + 1) for i in range(words))

    def move(self, instruction: Instruction, start: int) -> None:
        """Start a FETCH, FILL or SPILL of at least one burst in cycle ``start``."""
        f, opcode = instruction.fields, instruction.opcode
        if opcode is Opcode.FETCH:
            self.read_free = start + timing.fetch_cycles(f["bursts"], self.latency_cycles)
            return
        beats = (f["bursts"] - 1) * BURST_BEATS + f["last_beat"] + 1 - f["first_beat"]
        tile = PortTransfer(start, beats // self.config.tile_word_beats)
        if opcode is Opcode.FILL:
            self.fill = tile
        else:
            self.spill = tile

    def free(self, opcode: Opcode) -> int:
        """Return the first cycle in which a FETCH, FILL or SPILL (``opcode``) may start.

        The transfer for which it has to wait is over then, and is forgotten here. 0 if there was
        none.
        """
        if opcode is Opcode.SPILL:
            return self._spilled()
        if self.fill:
            writes = self._filled(self.fill)
            self.others.update(writes)
            self.fill, self.read_free = None, writes[-1] + 1
        return self.read_free

    def _filled(self, tile: PortTransfer) -> list[int]:
        """Return the cycles in which a FILL writes its words, one each, ascending."""
        beats, writes = self.config.tile_word_beats, []
        now = tile.start + 2 + self.latency_cycles
        for _ in range(tile.words):
            now = _first_without(self.posts, now + beats)
            writes.append(now)
        return writes

    def _spilled(self) -> int:
        """Return the cycle in which memory has answered the SPILL under way, and forget that SPILL.

        It is 0 if there is none.
        """
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
