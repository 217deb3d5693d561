"""Accumulators of one cell of the MAC array."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, Value, signed

from rtl_gen.config import NpuConfig


def accumulate(
    m: Module, config: NpuConfig, partials: Sequence[Value], enable: Value, clear: Value,
    shift: Value, negate: Value | None = None,
) -> list[Signal]:  # fmt: skip
    """Build one accumulator register per partial sum and return them.

    With ``enable`` each becomes ``partial + (0 if clear else accumulator << (d if shift else 0))``,
    d the width of a weight digit, wrapped to ``accumulator_bits``, one cycle after ``partials``
    (signed). With ``wide_input_passes``, clear and shift together stand for the next activation
    digit, which shifts by ``activation_shift_bits`` instead: so a bit of the adder has no more than
    six inputs, one LUT, unless there is ``negate``, too. The control bits are expected one cycle
    before ``partials``; they are registered here to keep their fan-out local. negate: together with
    ``shift`` it inverts the sign of the value that is shifted, which the adder's LUTs do at no cost
    (without ``wide_input_passes``); it must be low without ``shift``. None if it is never wanted.
    """
    names = ("enable", "clear", "shift", "negate")[: 3 if negate is None else 4]
    now = {name: Signal(name=f"{name}_now") for name in names}
    controls = (enable, clear, shift, *(() if negate is None else (negate,)))
    m.d.sync += [late.eq(value) for late, value in zip(now.values(), controls, strict=True)]
    width = config.accumulator_bits
    found = []
    for k, partial in enumerate(partials):
        name = "accumulator" if len(partials) == 1 else f"accumulator{k}"
        accumulator = Signal(signed(width), name=name, reset_less=True)
        moved: Value = accumulator << config.weight_digit_bits
        if config.wide_input_passes:
            moved = Mux(now["clear"], accumulator << config.activation_shift_bits, moved)
        if negate is not None:
            moved = Mux(now["negate"], ~moved[:width], moved[:width])
        if config.wide_input_passes:
            kept = Mux(now["shift"], moved, Mux(now["clear"], 0, accumulator))
        else:
            kept = Mux(now["clear"], 0, Mux(now["shift"], moved, accumulator))
        if negate is None:
            total = partial + kept[:width].as_signed()
        else:  # -x is ~x + 1; the 1 is the carry out of an extra lowest bit
            first, second = (Cat(now["negate"], v).as_signed() for v in (partial, kept[:width]))
            total = (first + second)[1:]
        with m.If(now["enable"]):
            m.d.sync += accumulator.eq(total)
        found.append(accumulator)
    return found
