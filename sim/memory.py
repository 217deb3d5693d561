"""Memory behind the NPU's AXI4 port: a stated latency, then a beat in every cycle."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from sim.folder import Words

BASE = 0x1000_0000
"""Byte address at which the bench keeps the weights."""
OKAY, DECERR = 0, 3


class Memory:
    """Answers reads in order: the first beat of a burst comes ``latency_cycles`` after the cycle in
    which its address was taken, the others follow without a gap. ``pauses`` holds back addresses
    and beats. Reads beyond ``words`` get DECERR."""

    def __init__(
        self, dut: Any, words: Words, port_bits: int, latency_cycles: int, pauses: Iterator[bool]
    ) -> None:
        self.dut, self.latency_cycles, self.pauses = dut, latency_cycles, pauses
        self.beat_bytes = port_bits // 8
        self.data = np.asarray(words, "<u4").tobytes()
        self.beats: deque[tuple[int, int, bool]] = deque()
        """(cycle from which on it may go, byte address, last)"""
        dut.m_axi_rvalid.value = 0
        self.be_ready()

    def start(self) -> None:
        cocotb.start_soon(self._run())

    def be_ready(self) -> None:
        """Take the next address at once, whatever the last pause left behind."""
        self.ready = True
        self.dut.m_axi_arready.value = 1

    async def _run(self) -> None:
        dut, edge, cycle = self.dut, RisingEdge(self.dut.aclk), 0
        valid = False
        while True:
            if not (self.beats or valid or dut.m_axi_arvalid.value):
                await RisingEdge(dut.m_axi_arvalid)
            await edge
            cycle += 1
            if self.ready and dut.m_axi_arvalid.value and dut.aresetn.value:
                self._take(cycle)
            if valid:
                self.beats.popleft()
            if not dut.aresetn.value:
                self.beats.clear()
            self.ready = not next(self.pauses)
            valid = bool(self.beats) and self.beats[0][0] <= cycle + 1 and not next(self.pauses)
            dut.m_axi_arready.value = self.ready
            dut.m_axi_rvalid.value = valid
            if valid:
                self._drive(*self.beats[0][1:])

    def _take(self, cycle: int) -> None:
        address, beats = int(self.dut.m_axi_araddr.value), int(self.dut.m_axi_arlen.value) + 1
        assert address % (beats * self.beat_bytes) == 0, f"burst at {address:#x} not aligned"
        assert 1 << int(self.dut.m_axi_arsize.value) == self.beat_bytes
        for k in range(beats):
            due = cycle + self.latency_cycles if k == 0 else 0
            self.beats.append((due, address - BASE + k * self.beat_bytes, k == beats - 1))

    def _drive(self, offset: int, last: bool) -> None:
        inside = 0 <= offset <= len(self.data) - self.beat_bytes
        found = self.data[offset : offset + self.beat_bytes] if inside else b""
        self.dut.m_axi_rdata.value = int.from_bytes(found, "little")
        self.dut.m_axi_rresp.value = OKAY if inside else DECERR
        self.dut.m_axi_rlast.value = last
