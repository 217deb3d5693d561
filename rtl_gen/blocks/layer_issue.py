"""Execution of a LAYER in the sequencer: the loop nest issues taps, then drain steps per tile."""

from __future__ import annotations

from amaranth import Module, Signal, Value
from amaranth.lib.wiring import Member, Out

from rtl_gen.blocks.drain_steps import DrainSteps
from rtl_gen.blocks.fields import record_view
from rtl_gen.blocks.hierarchy import instantiate
from rtl_gen.blocks.instruction import InstructionRegister
from rtl_gen.blocks.loop_counters import PLACE
from rtl_gen.blocks.loops import LoopNest
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import MOVE, START
from rtl_gen.isa.opcodes import Opcode


class LayerIssue:
    """Loop nest and drain steps of the sequencer, with the conditions that its states test.

    Taps are issued while ``running``, unless drain steps are in the way. ``issued`` is high in the
    cycle in which the layer's last tap is issued, ``drained`` in that of a tile's last drain step.
    ``too_many`` is high from the cycle after the fields ask for more pixels or chunks than the
    array has, or leave nothing to drain.
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        self.loops, self.steps = LoopNest(config), DrainSteps(config)
        self.tap_names = [
            name
            for name in self.loops.signature.members
            if name not in ("start", "advance", *PLACE) and not name.startswith(("f_", "record_"))
        ]
        self.step_names = [
            "valid", "pixel", "chunk", "chunk_last", "tile_last", *self.steps.FLAGS,
        ]  # fmt: skip
        self.running = Signal()
        self.too_many = Signal(reset_less=True)
        self.issued: Value = self.loops.advance & self.loops.layer_last
        self.drained: Value = self.steps.valid & self.steps.tile_last

    def ports(self) -> dict[str, Member]:
        """Return the sequencer's output ports: ``tap_*`` for taps, ``step_*`` for drain steps."""
        loops, steps = self.loops.signature.members, self.steps.signature.members
        return {
            **{f"tap_{n}": Out(loops[n].shape) for n in self.tap_names},
            **{f"step_{n}": Out(steps[n].shape) for n in self.step_names},
        }

    def instantiate(
        self,
        m: Module,
        platform: object,
        instruction: InstructionRegister,
        *,
        start: Value,
        tile: Value,
    ) -> None:
        """Instantiate both blocks, connected to the fields of ``instruction``.

        start: high for one cycle to begin the layer. tile: driven high in the cycle in which the
        last tap of a tile that is drained is issued.
        """
        config, loops, steps = self.config, self.loops, self.steps
        instantiate(m, platform, "loops", loops)
        instantiate(m, platform, "drain_steps", steps)
        fields = instruction.fields(Opcode.LAYER) | instruction.counts
        for block in (loops, steps):
            for name in block.signature.members:
                if name.startswith("f_"):
                    m.d.comb += getattr(block, name).eq(fields[name.removeprefix("f_")])
        record = record_view(config, START, instruction.fetched)
        m.d.comb += [getattr(loops, f"record_{f.name}").eq(record[f.name]) for f in MOVE]
        m.d.comb += [
            loops.record_word.eq(instruction.word),
            loops.record_write.eq(instruction.taking),
        ]
        m.d.sync += self.too_many.eq(self._beyond(fields))
        m.d.comb += [
            loops.start.eq(start),
            loops.advance.eq(self.running & ~(loops.tile_last & steps.blocking)),
            steps.tile.eq(loops.advance & loops.tile_last),
            tile.eq(steps.tile),
        ]
        m.d.comb += [getattr(steps, f"tile_{f}").eq(getattr(loops, f)) for f in steps.FLAGS]

    def _beyond(self, fields: dict[str, Value]) -> Value:
        found = (fields["drain_pixels"] >= self.config.pixels) | (
            fields["drain_chunks"] >= self.config.chunks
        )
        if self.config.reuses_columns:  # with no position left to drain the layer would never end
            found |= fields["reuse"] > fields["out_cols"] + 1
        return found
