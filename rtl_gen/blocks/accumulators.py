"""The accumulators of one cell of the array."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, Value, signed

from rtl_gen.config import NpuConfig


def accumulate(
    m: Module, config: NpuConfig, partials: Sequence[Value], enable: Value, clear: Value,
    shift: Value, negate: Value | None = None,
) -> list[Signal]:  # fmt: skip
    """The accumulators of ``partials``; the control bits come a cycle before them (they are
    registered here to keep their fan-out local).

    negate: besides ``shift``, what is shifted changes its sign: the choice fits into the adder's
    LUTs, so that a sign costs nothing here.
    """
    names = ("enable", "clear", "shift", "negate")[: 3 if negate is None else 4]
    now = {name: Signal(name=f"{name}_now") for name in names}
    controls = (enable, clear, shift, *(() if negate is None else (negate,)))
    m.d.sync += [late.eq(value) for late, value in zip(now.values(), controls, strict=True)]
    width, digit = config.accumulator_bits, config.weight_digit_bits
    found = []
    for k, partial in enumerate(partials):
        name = "accumulator" if len(partials) == 1 else f"accumulator{k}"
        accumulator = Signal(signed(width), name=name, reset_less=True)
        if negate is None:
            kept = Mux(now["clear"], 0, Mux(now["shift"], accumulator << digit, accumulator))
            total = partial + kept[:width].as_signed()
        else:  # -x is ~x + 1; the 1 comes as the carry of a lowest bit
            moved = (accumulator << digit)[:width]
            shifted = Mux(now["negate"], ~moved, moved)
            kept = Mux(now["clear"], 0, Mux(now["shift"], shifted, accumulator))
            first, second = (Cat(now["negate"], v).as_signed() for v in (partial, kept[:width]))
            total = (first + second)[1:]
        with m.If(now["enable"]):
            m.d.sync += accumulator.eq(total)
        found.append(accumulator)
    return found
