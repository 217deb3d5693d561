"""Proof: the AXI4-Lite port answers every transfer exactly once, and writes land where they should.

Of rtl_gen.blocks.control, against the address map of rtl_gen.isa.registers.
"""

from __future__ import annotations

import dataclasses

import pytest
from amaranth import Cat, Elaboratable, Module, Mux, Signal, Value

from rtl_gen.blocks.control import SLVERR, Control
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.isa.registers import PROGRAM_BASE, Register, channel_address, weight_address
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, implies, past, place, reached

CONFIG = NpuConfig(lanes=4, columns=12, post_units=2, weight_depth=16, channel_depth=4)
"""Three 32-bit weight columns, so that one of four addresses in a row has no memory behind it."""
DEPTH = 4


class Answers(Elaboratable):
    """Read and write channel with any host: nothing is assumed of it."""

    def __init__(self, control: Control) -> None:
        self.control = control

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place(m, self.control)
        c = self.control
        together = (c.awvalid & c.awready) == (c.wvalid & c.wready)
        always(m, together, "address and data are taken together")
        self._channel(m, "write", c.awvalid & c.wvalid, c.awvalid & c.awready,
                      (c.bvalid, c.bready, c.bresp), 1)  # fmt: skip
        self._channel(m, "read", c.arvalid, c.arvalid & c.arready,
                      (c.rvalid, c.rready, c.rdata | c.rresp << 32), 1)  # fmt: skip
        return m

    def _channel(
        self,
        m: Module,
        name: str,
        offered: Value,
        taken: Value,
        answer: tuple[Value, Value, Value],
        latency_cycles: int,
    ) -> None:
        valid, ready, payload = answer
        unanswered = Signal(2, name=f"{name}_unanswered")
        waited = Signal(2, name=f"{name}_waited")
        m.d.sync += [
            unanswered.eq(unanswered + taken - (valid & ready)),
            waited.eq(Mux(taken | valid, 0, waited + unanswered)),
        ]
        always(m, unanswered <= 1, f"{name}: one transfer at a time")
        always(m, implies(valid, unanswered), f"{name}: no answer without a transfer")
        always(m, implies(waited >= latency_cycles, valid), f"{name}: answered in time")
        always(m, implies(offered & (unanswered == 0), taken), f"{name}: an idle port takes")
        held = past(m, valid & ~ready, f"{name}_held")
        always(m, implies(held, valid), f"{name}: valid stays until ready")
        same = payload == past(m, payload, f"{name}_payload")
        always(m, implies(held, same), f"{name}: the answer stays until ready")
        reached(m, held & past(m, held, f"{name}_held_twice"), f"{name}: an answer waits")
        reached(m, taken & past(m, valid & ready, f"{name}_done"), f"{name}: back to back")


class Windows(Elaboratable):
    """Every write of the bus lands at the address that rtl_gen.isa.registers gives."""

    def __init__(self, control: Control) -> None:
        self.control = control

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place(m, self.control)
        c = self.control
        config = c.config
        taken = past(m, c.awvalid & c.awready, "taken")
        address = past(m, c.awaddr & ~3, "address")
        whole = past(m, c.wstrb == 0b1111, "whole")
        targets = {
            **{
                f"program {k}": (
                    c.program_write[k],
                    PROGRAM_BASE + 4 * (BUS_WORDS * c.program_address + k),
                )
                for k in range(BUS_WORDS)
            },
            **{
                f"table {k}": (
                    c.table_write[k],
                    channel_address(config, c.table_address, k),
                )
                for k in range(len(c.table_write))
            },
            **{
                f"weight {k}": (
                    c.weight_columns[k],
                    weight_address(config, c.weight_address, k),
                )
                for k in range(len(c.weight_columns))
            },
        }
        # What a write does comes one cycle after it is decoded, in the cycle of the answer.
        allowed = taken & whole & ~past(m, c.busy, "busy")
        landed: Value = Value.cast(0)
        for name, (enable, where) in targets.items():
            hit = allowed & (address == where)
            if name.startswith("weight"):
                hit &= c.weight_address < config.weight_depth
            due = past(m, hit, f"{name.replace(' ', '_')}_due")
            always(m, enable == due, f"{name}: written when addressed")
            still = where == past(m, where, f"{name.replace(' ', '_')}_where")
            always(m, implies(enable, still), f"{name}: the address stays")
            reached(m, enable, f"{name}: written")
            landed = landed | hit
        wrote = past(m, landed, "wrote")
        data = past(m, past(m, c.wdata, "wdata"), "wdata_2")
        always(m, implies(wrote, c.data == data), "the data comes along")
        always(m, implies(wrote, c.bvalid & (c.bresp == 0)), "a write that lands is answered OKAY")
        writable = (Register.CONTROL, Register.WATCHDOG, Register.IMAGES)
        register = Cat(address == one for one in writable).any()
        lost = past(m, taken & ~landed & ~register, "lost")
        always(m, implies(lost, c.bvalid & (c.bresp == SLVERR)), "a lost write is answered SLVERR")
        return m


def test_every_transfer_is_answered_once() -> None:
    prove(Answers(Control(CONFIG)), depth=DEPTH, reach=8)


@pytest.mark.parametrize("weight_depth", [16, 1536])
def test_writes_land_where_the_address_map_says(weight_depth: int) -> None:
    config = dataclasses.replace(CONFIG, weight_depth=weight_depth)
    prove(Windows(Control(config)), depth=DEPTH, reach=8)


class Impatient(Control):
    """A broken port that withdraws its answer after a cycle, seen by the host or not."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.bvalid):
            m.d.sync += self.bvalid.eq(0)
        return m


class Deaf(Control):
    """A broken port that never answers a write of the value 0."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.data == 0):
            m.d.sync += self.bvalid.eq(0)
        return m


class Shifted(Control):
    """A broken port that writes channel words one row too high."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.table_address.eq(self.weight_address + 1)
        return m


@pytest.mark.parametrize(
    "properties, why",
    [
        (Answers(Impatient(CONFIG)), "write: valid stays until ready"),
        (Answers(Deaf(CONFIG)), "write: answered in time"),
        (Windows(Shifted(CONFIG)), "table .: written when addressed"),
    ],
    ids=["impatient", "deaf", "shifted"],
)
def test_a_broken_port_is_refuted(properties: Elaboratable, why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(properties, depth=DEPTH)
