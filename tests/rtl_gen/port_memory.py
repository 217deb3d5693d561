"""External memory behind the NPU's AXI4 port in Amaranth's simulator, with random waits."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS, MEMORY_PAGE_BITS
from rtl_gen.npu import NpuTop

OKAY, SLVERR = 0, 2
OUTPUTS = (
    "arvalid", "araddr", "arlen", "rready", "awvalid", "awaddr", "awlen", "wvalid", "wdata",
    "wlast", "bready",
)  # fmt: skip


class PortMemory:
    """AXI4 memory that holds ``words`` (uint32) from byte address 0 on, read and written.

    Each channel waits in a share ``stall`` of the cycles. Asserts that bursts stay within their
    page and that WLAST marks their last beats; an access beyond the words is answered SLVERR.
    """

    def __init__(
        self, config: NpuConfig, words: NDArray[np.uint32], stall: float, pick: random.Random
    ) -> None:
        self.words, self.stall, self.pick = words.copy(), stall, pick
        self.beat_words = config.memory_port_bits // 32
        self.beat_bytes = config.memory_port_bits // 8
        self.reads: deque[tuple[int, bool]] = deque()
        """Beats to be read: byte address, and True for the last beat of its burst."""
        self.writes: deque[range] = deque()
        """Bursts to be written: the byte addresses of their beats."""
        self.data: deque[tuple[int, bool]] = deque()
        """Beats that came, with their WLAST; they may come before the address of their burst."""
        self.under_way: deque[bool] = deque()
        """Bursts written but not answered: True if all beats lay inside the memory."""
        self.offered: set[str] = set()
        """Names of the VALIDs that were raised, which stay until they are taken."""

    def process(self, dut: NpuTop):
        def port(name):
            return getattr(dut, f"m_axi_{name}")

        async def run(ctx):
            while True:
                goes = self._goes()
                for name, value in goes.items():
                    ctx.set(port(name), value)
                if goes["rvalid"]:
                    address, last = self.reads[0]
                    data, inside = self._read(address)
                    ctx.set(port("rdata"), data)
                    ctx.set(port("rlast"), last)
                    ctx.set(port("rresp"), OKAY if inside else SLVERR)
                if goes["bvalid"]:
                    ctx.set(port("bresp"), OKAY if self.under_way[0] else SLVERR)
                _, _, *values = await ctx.tick().sample(*map(port, OUTPUTS))
                self._took(goes, dict(zip(OUTPUTS, values, strict=True)))

        return run

    def _goes(self) -> dict[str, bool]:
        """Return the READYs and VALIDs of this cycle."""
        goes = {n: self.pick.random() >= self.stall for n in ("arready", "awready", "wready")}
        for name, waiting in (("rvalid", self.reads), ("bvalid", self.under_way)):
            if waiting and self.pick.random() >= self.stall:
                self.offered.add(name)
            goes[name] = name in self.offered
        return goes

    def _took(self, goes: dict[str, bool], out: dict[str, int]) -> None:
        if goes["arready"] and out["arvalid"]:
            burst = self._burst(out["araddr"], out["arlen"])
            self.reads += [(address, address == burst[-1]) for address in burst]
        if goes["rvalid"] and out["rready"]:
            self.reads.popleft()
            self.offered.discard("rvalid")
        if goes["awready"] and out["awvalid"]:
            self.writes.append(self._burst(out["awaddr"], out["awlen"]))
        if goes["bvalid"] and out["bready"]:
            self.under_way.popleft()
            self.offered.discard("bvalid")
        if goes["wready"] and out["wvalid"]:
            self.data.append((out["wdata"], bool(out["wlast"])))
        while self.writes and len(self.data) >= len(self.writes[0]):
            burst = self.writes.popleft()
            inside = True
            for address in burst:
                data, last = self.data.popleft()
                assert last == (address == burst[-1]), "WLAST"
                inside &= self._write(address, data)
            self.under_way.append(inside)

    def _burst(self, address: int, length: int) -> range:
        size = self.beat_bytes
        beats = range(address, address + (length + 1) * size, size)
        assert length < BURST_BEATS
        assert address % size == 0
        assert beats[0] >> MEMORY_PAGE_BITS == beats[-1] >> MEMORY_PAGE_BITS, "crosses a page"
        return beats

    def _place(self, address: int) -> slice:
        return slice(address // 4, address // 4 + self.beat_words)

    def _read(self, address: int) -> tuple[int, bool]:
        found = self.words[self._place(address)]
        return int.from_bytes(found.tobytes(), "little"), len(found) == self.beat_words

    def _write(self, address: int, data: int) -> bool:
        if self._place(address).stop > len(self.words):
            return False
        beat = np.frombuffer(data.to_bytes(self.beat_bytes, "little"), "<u4")
        self.words[self._place(address)] = beat
        return True
