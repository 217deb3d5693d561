"""Delay lines: values registered over several clock cycles."""

from __future__ import annotations

from amaranth import Module, Signal, Value


def delay(m: Module, value: Value, cycles: int, name: str, *, resettable: bool = False) -> Value:
    """Return ``value`` delayed by ``cycles`` clock cycles, ``value`` itself for 0.

    name: prefix of the registers' names. resettable: True if a reset sets the registers to 0, as
    valid bits need; lines without reset map to shift-register LUTs.
    """
    for k in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{k + 1}", reset_less=not resettable)
        m.d.sync += register.eq(value)
        value = register
    return value
