"""Building blocks of the proofs' wrappers: free inputs, properties, delayed values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from amaranth import Module, Signal, Value
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib.wiring import In

from rtl_gen.blocks.hierarchy import Block


def place(
    m: Module,
    block: Block,
    driven: Collection[str] = (),
    name: str = "dut",
    stand_ins: Mapping[str, Callable[[Block], Module]] | None = None,
) -> dict[str, Signal]:
    """Instantiate ``block`` in ``m`` and leave its inputs free in every cycle.

    The caller drives the inputs named in ``driven``. ``stand_ins`` replace blocks inside the block:
    name -> function that returns a module to drive the outputs of the one it stands for. Returns
    the signals of the block (``own_signals``), for invariants, and those of the blocks in it under
    ``block.signal``.
    """
    inner = block.elaborate(None)
    signals = own_signals(inner)
    parts = inner._named_submodules  # Amaranth has no public way to them
    for part, (held, where) in parts.items():
        if isinstance(held, Block):
            module = (stand_ins or {}).get(part, lambda held: held.elaborate(None))(held)
            parts[part] = (module, where)
            signals |= {f"{part}.{own}": s for own, s in own_signals(module).items()}
    m.submodules[name] = inner
    for port, member in block.signature.members.items():
        if member.flow == In and port not in driven:
            signal = getattr(block, port)
            m.d.comb += signal.eq(AnySeq(len(signal)))
    return signals


def own_signals(module: Module) -> dict[str, Signal]:
    """Return the signals that ``module`` drives, by name; the second of a name as ``name_2``."""
    signals: dict[str, Signal] = {}
    seen: Counter[str] = Counter()
    for signal in module._driving:  # nor to these
        seen[signal.name] += 1
        number = seen[signal.name]
        signals[signal.name if number == 1 else f"{signal.name}_{number}"] = signal
    return signals


def always(m: Module, condition: Value, message: str) -> None:
    """State a property: ``condition`` holds in every cycle (Assert)."""
    m.d.comb += Assert(condition, message)


def given(m: Module, condition: Value) -> None:
    """State what the surroundings of the block guarantee (Assume)."""
    m.d.comb += Assume(condition)


def reached(m: Module, condition: Value, message: str) -> None:
    """State that a situation can occur (Cover): no property holds for want of it."""
    m.d.comb += Cover(condition, message)


def implies(premise: Value, conclusion: Value) -> Value:
    """Return the implication of two conditions; a value counts as true when any bit is 1."""
    return ~Value.cast(premise).any() | Value.cast(conclusion).any()


def past(m: Module, value: Value, name: str) -> Signal:
    """Return ``value`` of one cycle before; 0 after reset."""
    register = Signal(value.shape(), name=name)
    m.d.sync += register.eq(value)
    return register


def constant(m: Module, bits: int, name: str) -> Signal:
    """Return an arbitrary value that never changes: what is proven for it holds for all values."""
    signal = Signal(bits, name=name)
    m.d.comb += signal.eq(AnyConst(bits))
    return signal
