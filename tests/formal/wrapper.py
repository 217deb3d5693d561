"""What the wrappers of the proofs share: free inputs, the past, names of a block's registers."""

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
    """Add ``block`` to ``m`` under that name, its inputs free in every cycle except those
    ``driven`` by the caller. Returns ``own_signals`` of the block, for invariants, and those of
    the blocks in it as ``block.signal``. ``stand_ins`` drive the outputs of these in their place.
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
    """The signals that ``module`` drives, by name; the second of a name is called ``name_2``."""
    signals: dict[str, Signal] = {}
    seen: Counter[str] = Counter()
    for signal in module._driving:  # nor to these
        seen[signal.name] += 1
        number = seen[signal.name]
        signals[signal.name if number == 1 else f"{signal.name}_{number}"] = signal
    return signals


def always(m: Module, condition: Value, message: str) -> None:
    """State a property."""
    m.d.comb += Assert(condition, message)


def given(m: Module, condition: Value) -> None:
    """State what the surroundings of the block promise."""
    m.d.comb += Assume(condition)


def reached(m: Module, condition: Value, message: str) -> None:
    """State that a situation occurs, so that no property holds for want of it."""
    m.d.comb += Cover(condition, message)


def implies(premise: Value, conclusion: Value) -> Value:
    """Both one bit wide."""
    return ~Value.cast(premise).any() | Value.cast(conclusion).any()


def past(m: Module, value: Value, name: str) -> Signal:
    """``value`` one cycle ago, 0 after reset."""
    register = Signal(value.shape(), name=name)
    m.d.sync += register.eq(value)
    return register


def constant(m: Module, bits: int, name: str) -> Signal:
    """An arbitrary value that never changes: what is proven for it holds for all."""
    signal = Signal(bits, name=name)
    m.d.comb += signal.eq(AnyConst(bits))
    return signal
