"""Proof: a FILL or SPILL requests each of its AXI4 bursts once, in order and within a page.

Of rtl_gen.blocks.bursts: lengths are right, and at most MOST_BURSTS are outstanding.
"""

from __future__ import annotations

import pytest
from amaranth import Elaboratable, Module, Mux, Signal

from rtl_gen.blocks.bursts import Bursts
from rtl_gen.blocks.fetch import MOST_BURSTS
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BEAT_BITS, BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.isa.fields import SLOT_BITS
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, constant, given, implies, past, place, reached

FIELDS = ("f_first", "f_bursts", "f_first_beat", "f_last_beat", "base")


class BurstsProof(Elaboratable):
    """Memory accepts addresses at any time and ends accepted bursts at any time.

    A start comes only when the block is idle.
    """

    def __init__(self, bursts: Bursts) -> None:
        self.bursts = bursts

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.bursts
        inner = place(m, dut, driven=FIELDS)
        f = {n: constant(m, len(getattr(dut, n)), n) for n in FIELDS}
        m.d.comb += [getattr(dut, n).eq(value) for n, value in f.items()]
        given(m, implies(dut.start, dut.idle & ~dut.abort))
        taken, over, asked = (Signal(SLOT_BITS + 1, name=n) for n in ("taken", "ended", "asked"))
        ever, aborted = Signal(), Signal()
        given(m, implies(dut.over, over != taken))
        with m.If(dut.start):
            m.d.sync += [taken.eq(0), over.eq(0), asked.eq(0), ever.eq(1), aborted.eq(0)]
        with m.Else():
            m.d.sync += [
                taken.eq(taken + (dut.valid & dut.ready)),
                over.eq(over + dut.over),
                asked.eq(asked + dut.asks),
                aborted.eq(aborted | dut.abort),
            ]
        beat_bytes = dut.config.memory_port_bits // 8
        number = (f["f_first"] + taken)[:SLOT_BITS]
        begins = Mux(taken == 0, f["f_first_beat"], 0)
        final = (taken + 1 == f["f_bursts"]) & (f["f_last_beat"] >= begins)
        ends = Mux(final, f["f_last_beat"], BURST_BEATS - 1)
        where = (f["base"] << MEMORY_PAGE_BITS) + (number * BURST_BEATS + begins) * beat_bytes
        always(m, implies(dut.valid, dut.address == where[:32]), "bursts in order, each once")
        always(m, implies(dut.valid, dut.length == ends - begins), "the burst's length")
        in_page = dut.address[:MEMORY_PAGE_BITS] + (dut.length + 1) * beat_bytes
        page_ends = in_page <= 1 << MEMORY_PAGE_BITS
        always(m, implies(dut.valid, page_ends), "no burst crosses a page")
        waits = past(m, dut.valid & ~dut.ready, "waits")
        same = (dut.address == past(m, dut.address, "was")) & (
            dut.length == past(m, dut.length, "long")
        )
        always(m, implies(waits, dut.valid & same), "an address stays until it is taken")
        wanted, under_way = inner["wanted"], inner["under_way"]
        always(m, asked == taken + dut.valid, "invariant: asked")
        always(m, under_way == asked - over, "invariant: under way")
        always(m, under_way <= MOST_BURSTS, "not too many under way")
        always(m, over <= taken, "invariant: no end without a beginning")
        left = asked + wanted == f["f_bursts"]
        always(m, implies(ever & ~aborted, left), "all bursts, and no more")
        always(m, implies(ever, asked <= f["f_bursts"]), "never more bursts than wanted")
        always(m, implies(aborted, wanted == 0), "aborted: no further bursts")
        always(m, implies(~ever, (under_way == 0) & (wanted == 0)), "invariant: before the start")
        place_ok = (inner["burst"] == (f["f_first"] + asked)[:SLOT_BITS]) & (
            inner["beat"] == Mux(asked == 0, f["f_first_beat"], 0)
        )
        always(m, implies(ever, place_ok), "invariant: place")
        always(m, implies(ever, inner["last_beat"] == f["f_last_beat"]), "invariant: last beat")
        done = ever & ~aborted & dut.idle
        always(m, implies(done, over == f["f_bursts"]), "idle when all are over")
        reached(m, done & (over == 2) & (f["f_last_beat"] == 3), "two bursts end")
        assert len(inner["beat"]) == BEAT_BITS
        return m


@pytest.mark.parametrize("port_bits", [32, 128])
def test_every_burst_is_asked_for_once(port_bits: int) -> None:
    prove(BurstsProof(Bursts(NpuConfig(memory_port_bits=port_bits, memory_tiles=True))),
          depth=3, reach=10)  # fmt: skip


class TooLong(Bursts):
    """A broken block that requests every burst up to its last beat."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        with m.If(self.asks):
            m.d.sync += self.length.eq(BURST_BEATS - 1)
        return m


def test_a_burst_that_is_too_long_is_refuted() -> None:
    with pytest.raises(Disproof, match="the burst's length"):
        prove(BurstsProof(TooLong(NpuConfig(memory_port_bits=32, memory_tiles=True))), depth=4)
