"""Proof: the read-out of a tile's sums takes the right steps, and results land where they should.

Of rtl_gen.blocks.drain_steps and post_process: one step per group of post units and pixel lane; a
result outside the activation memory is reported, not written.
"""

from __future__ import annotations

import pytest
from amaranth import Cat, Elaboratable, Module, Mux, Signal

from rtl_gen.blocks.drain_steps import DrainSteps
from rtl_gen.blocks.post_process import PostProcess
from rtl_gen.config import NpuConfig
from tests.formal.prove import Disproof, prove
from tests.formal.wrapper import always, constant, given, implies, past, place, reached

WIDEST = NpuConfig(pixels=16, lanes=2, columns=128, post_units=1)
SMALL = NpuConfig(
    pixels=2, lanes=2, columns=4, post_units=1, activation_bits=1, accumulator_bits=10,
    scale_bits=4, activation_depth=16, channel_depth=4, result_depth=2,
)  # fmt: skip
"""Two activation words per pixel lane, two drain steps per word."""


class Steps(Elaboratable):
    """A tile may come in any cycle in which ``blocking`` allows it."""

    def __init__(self, steps: DrainSteps) -> None:
        self.steps = steps

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dut = self.steps
        inner = place(m, dut, driven=("f_drain_pixels", "f_drain_chunks"))
        pixels, chunks = dut.f_drain_pixels, dut.f_drain_chunks
        m.d.comb += [pixels.eq(constant(m, 4, "pixels")), chunks.eq(constant(m, 7, "chunks"))]
        given(m, implies(dut.tile, ~dut.blocking))
        number, active = Signal(11), Signal()
        final = active & (number + 1 == (pixels + 1) * (chunks + 1))
        with m.If(dut.tile):
            m.d.sync += [number.eq(0), active.eq(1)]
        with m.Elif(active):
            m.d.sync += [number.eq(number + 1), active.eq(~final)]
        always(m, dut.valid == active, "one step a cycle, as many as pixels * chunks")
        for name, condition in {
            "pixel and chunk count the steps": dut.pixel * (chunks + 1) + dut.chunk == number,
            "pixel in range": dut.pixel <= pixels,
            "chunk in range": dut.chunk <= chunks,
            "the last step": dut.tile_last == final,
            "the last step of a pixel": dut.chunk_last == (dut.chunk == chunks),
            "invariant: last pixel": inner["pixel_last"] == (dut.pixel == pixels),
        }.items():
            always(m, implies(active, condition), name)
        always(m, dut.blocking == (active & ~final), "a tile may come with the last step")
        flags = Cat(getattr(dut, f"tile_{flag}") for flag in dut.FLAGS)
        kept = Signal(len(flags))
        with m.If(dut.tile):
            m.d.sync += kept.eq(flags)
        now = Cat(getattr(dut, flag) for flag in dut.FLAGS)
        always(m, implies(active, now == kept), "the tile's flags stay")
        reached(m, final & (pixels == 1) & (chunks == 2), "a tile of six steps ends")
        reached(m, dut.tile & final & (chunks == 1), "tiles back to back")
        return m


class Writes(Elaboratable):
    """Results of a layer pass both blocks to the write port of the activation memory."""

    FIELDS = ("f_out_base", "f_out_pixel_words", "f_out_group_words", "f_raw")

    def __init__(self, post: PostProcess) -> None:
        self.post = post

    def elaborate(self, platform: object) -> Module:
        m = Module()
        post, config = self.post, self.post.config
        self.steps = steps = DrainSteps(config)
        shared = [n for n in post.signature.members if n in steps.signature.members]
        ports = {"step_valid": "valid", **{name: name for name in shared}}
        inner = place(m, post, driven=[*self.FIELDS, *ports])
        m.d.comb += [getattr(post, a).eq(getattr(steps, b)) for a, b in ports.items()]
        for name in self.FIELDS:
            m.d.comb += getattr(post, name).eq(constant(m, len(getattr(post, name)), name))
        self._layer(m)
        word, full = self._word(m)
        bits = len(post.f_out_base) + 1
        address = (post.f_out_base + self.groups + self.positions + word)[:bits]
        latency = post.latency_cycles(config)
        inside = address < config.activation_depth
        writes = steps.valid & full & steps.window_last & ~post.f_raw
        landing = Mux(writes & inside, 1 << steps.pixel, 0)[: config.pixels]
        self.due = [past(m, landing, "due_1")]
        self.where = [past(m, address, "where_1")]
        for k in range(2, latency + 1):
            self.due.append(past(m, self.due[-1], f"due_{k}"))
            self.where.append(past(m, self.where[-1], f"where_{k}"))
        always(m, post.write_bank == self.due[-1], "a full word inside the memory is written once")
        hit = post.write_bank.any()
        always(
            m, implies(hit, post.write_address == self.where[-1]), "at the address of its position"
        )
        lost = past(m, writes & ~inside, "lost")
        always(m, implies(lost, post.outside), "a word outside the memory is reported")
        count, start, position = inner["count"], inner["word_start"], inner["position"]
        here = (post.f_out_base + self.groups + self.positions)[:bits]
        grouped = (post.f_out_base + self.groups)[:bits]
        for name, condition in {
            "group": inner["group"] == grouped,
            "position": position == here,
            "word": start == (here + Mux(steps.valid, word, 0))[:bits],
            "count": count == Mux(steps.valid, steps.chunk % config.chunks_per_word, 0),
        }.items():
            always(m, implies(self.begun & ~post.f_raw, condition), f"invariant: {name}")
        self._in_flight(m, inner, latency)
        second = writes & inside & self.groups.any() & self.positions.any()
        reached(m, second, "a second group is written")
        reached(m, hit & post.write_address.any(), "a word lands")
        reached(m, lost, "a word leaves the memory")
        return m

    def _in_flight(self, m: Module, inner: dict[str, Signal], latency: int) -> None:
        """State that the block's delay lines hold what the model's hold, stage by stage."""
        for k in range(1, latency):
            pixel = inner[f"code_index_{k}"][len(self.post.chunk) :]
            full = inner[f"code_valid_{k}"] & inner[f"word_full_{k}"]
            landing = Mux(full, 1 << pixel, 0)[: self.post.config.pixels]
            always(m, self.due[k - 1] == landing, f"invariant: in flight {k}")
            same = self.where[k - 1] == inner[f"word_address_{k}"]
            always(m, implies(full, same), f"invariant: address in flight {k}")

    def _word(self, m: Module) -> tuple[Signal, Signal]:
        """Return the word of the pixel that this step works on, and if the step completes it."""
        per_word, chunk = self.post.config.chunks_per_word, self.steps.chunk
        word, full = Signal(len(chunk)), Signal()
        m.d.comb += [word.eq(chunk // per_word), full.eq(chunk % per_word == per_word - 1)]
        return word, full

    def _layer(self, m: Module) -> None:
        """Drive the steps as a layer does: constant fields, tiles between two starts.

        ``positions`` and ``groups`` count the words that came before in this layer.
        """
        post, steps = self.post, self.steps
        config = post.config
        inner = place(m, steps, driven=("f_drain_pixels", "f_drain_chunks"), name="steps")
        pixels, chunks = constant(m, 4, "pixels"), constant(m, 7, "chunks")
        m.d.comb += [steps.f_drain_pixels.eq(pixels), steps.f_drain_chunks.eq(chunks)]
        given(m, pixels < config.pixels)
        given(m, chunks < config.chunks)
        given(m, post.f_raw | ((chunks + 1) % config.chunks_per_word == 0))
        self.begun = Signal()
        with m.If(post.start):
            m.d.sync += self.begun.eq(1)
        given(m, implies(steps.tile, self.begun & ~steps.blocking & ~post.start))
        given(m, implies(post.start, ~steps.valid))
        # The register is wider than the port of the same name, which comes first.
        always(m, implies(steps.valid, inner["chunk_2"] <= chunks), "invariant: chunk")
        last = steps.chunk_last == (inner["chunk_2"] == chunks)
        always(m, implies(steps.valid, last), "invariant: last chunk")
        always(m, implies(steps.valid, self.begun), "invariant: begun")
        self.positions, self.groups = Signal(8), Signal(8)
        done = steps.valid & steps.tile_last & steps.window_last
        with m.If(post.start):
            m.d.sync += [self.positions.eq(0), self.groups.eq(0)]
        with m.Elif(done & steps.group_end):
            m.d.sync += [
                self.positions.eq(0),
                self.groups.eq(self.groups + post.f_out_group_words),
            ]
        with m.Elif(done):
            m.d.sync += self.positions.eq(self.positions + post.f_out_pixel_words)


def test_drain_steps_count_exactly() -> None:
    prove(Steps(DrainSteps(WIDEST)), depth=2, reach=10)


def test_results_land_in_their_place_or_are_reported() -> None:
    reach = PostProcess.latency_cycles(SMALL) + 6
    prove(Writes(PostProcess(SMALL)), depth=2, reach=reach)


class OneTooMany(DrainSteps):
    """A broken block that ends one pixel lane late."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.tile_last.eq(self.chunk_last & (self.pixel > self.f_drain_pixels))
        return m


class WritesOutside(PostProcess):
    """A broken block that writes a word beyond the memory at its truncated address."""

    def _write_address(self, m: Module):  # type: ignore[no-untyped-def]
        full, address, error = super()._write_address(m)
        return full | error, address, error


@pytest.mark.parametrize(
    "properties, why",
    [
        (Steps(OneTooMany(WIDEST)), "one step a cycle|the last step|a tile may come|in range"),
        (Writes(WritesOutside(SMALL)), "a full word inside the memory|invariant: in flight"),
    ],
    ids=["one too many", "writes outside"],
)
def test_a_broken_drain_is_refuted(properties: Elaboratable, why: str) -> None:
    with pytest.raises(Disproof, match=why):
        prove(properties, depth=12)
