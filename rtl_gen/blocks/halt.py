"""Early end of a run: errors, watchdog and soft reset, and the record of the first error."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from rtl_gen.blocks.delay import delay
from rtl_gen.blocks.hierarchy import Block
from rtl_gen.isa.opcodes import ErrorCode

ERROR_BITS = max(ErrorCode).bit_length()


class Halt(Block):
    """Function: ``halt`` for one cycle on each cycle of ``fail`` (ErrorCode of a bad instruction, 0
    for none), ``fault`` (ErrorCode of another block), or ``stop``, and at the watchdog's end.

    If ``active`` in a cycle with ``halt``, the first error's code and the ``index`` of that cycle
    stay in ``error`` and ``error_instruction``, from the next one on, until ``stop`` or the next
    ``begin``. Of several with the same ``halt`` ``fault`` comes before the watchdog, ``fail`` last.
    Latency to ``halt``: ``stop`` 0, ``fail`` 1, ``fault`` 2 cycles (they come from everywhere and
    lead everywhere), ``begin`` as many cycles as ``watchdog`` says, 0 for no limit. Throughput: one
    error a run. Overflow: none.
    """

    def __init__(self) -> None:
        self.module_name = "npu_halt"
        super().__init__(
            {
                "begin": In(1),
                "stop": In(1),
                "watchdog": In(32),
                "active": In(1),
                "index": In(16),
                "fail": In(ERROR_BITS),
                "fault": In(ERROR_BITS),
                "halt": Out(1),
                "error": Out(8),
                "error_instruction": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(32, reset_less=True)
        expired = Signal()
        at_once = delay(m, self.watchdog == 1, 1, "at_once")
        m.d.comb += expired.eq(Mux(self.begin, at_once, timer == 2))
        with m.If(self.begin):
            m.d.sync += timer.eq(self.watchdog)
        with m.Elif(timer.any()):
            m.d.sync += timer.eq(timer - 1)

        fault = delay(m, self.fault, 1, "fault", resettable=True)
        tripped = Signal()
        failed, late = Signal(ERROR_BITS), Signal(ERROR_BITS)
        m.d.sync += [
            tripped.eq(self.fail.any() | fault.any() | expired),
            failed.eq(self.fail),
            late.eq(Mux(fault.any(), fault, Mux(expired, ErrorCode.WATCHDOG, 0))),
        ]
        m.d.comb += self.halt.eq(tripped | self.stop)
        with m.If(self.stop | self.begin):
            m.d.sync += [self.error.eq(0), self.error_instruction.eq(0)]
        with m.Elif(self.active & self.halt & ~self.error.any()):
            m.d.sync += [
                self.error.eq(Mux(late.any(), late, failed)),
                self.error_instruction.eq(self.index),
            ]
        return m
