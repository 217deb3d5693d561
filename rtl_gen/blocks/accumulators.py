"""The accumulators of one cell of the array."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Mux, Signal, Value, signed

from rtl_gen.config import NpuConfig


def accumulate(
    m: Module, config: NpuConfig, partials: Sequence[Value], enable: Value, clear: Value,
    shift: Value,
) -> list[Signal]:  # fmt: skip
    """The accumulators of ``partials``; the control bits come a cycle before them (they are
    registered here to keep their fan-out local)."""
    now = [Signal(name=f"{name}_now") for name in ("enable", "clear", "shift")]
    m.d.sync += [late.eq(value) for late, value in zip(now, (enable, clear, shift), strict=True)]
    width, digit = config.accumulator_bits, config.weight_digit_bits
    found = []
    for k, partial in enumerate(partials):
        name = "accumulator" if len(partials) == 1 else f"accumulator{k}"
        accumulator = Signal(signed(width), name=name, reset_less=True)
        kept = Mux(now[1], 0, Mux(now[2], accumulator << digit, accumulator))
        with m.If(now[0]):
            m.d.sync += accumulator.eq(partial + kept[:width].as_signed())
        found.append(accumulator)
    return found
