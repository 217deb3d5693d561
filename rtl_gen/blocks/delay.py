"""Delay lines."""

from __future__ import annotations

from amaranth import Module, Signal, Value


def delay(m: Module, value: Value, cycles: int, name: str, *, resettable: bool = False) -> Value:
    """``value``, ``cycles`` clock cycles later.

    Lines without reset become shift-register LUTs; a valid bit wants ``resettable``.
    """
    for k in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{k + 1}", reset_less=not resettable)
        m.d.sync += register.eq(value)
        value = register
    return value
