"""Block hierarchy: emits identical blocks as one Verilog module.

Amaranth elaborates every instance of a component into a module of its own. A Block is emitted once
instead, under its ``module_name``, and instantiated by name, so that synthesis and simulator builds
process it once, and readers see it once. In Amaranth's own simulator a Block is an ordinary
submodule.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In


class Emission:
    """Elaboration platform during Verilog emission, which collects the instantiated blocks."""

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        """Module name -> one of its blocks."""
        self.static: set[str] = set()
        """Names of the hand-written Verilog modules in use (rtl_gen/verilog)."""


class Block(wiring.Component):
    """A component that becomes one Verilog module, shared by its instances.

    The class docstring of a block is the comment at the head of its module, unless that is written
    by hand (rtl_gen.blocks.memories). Two blocks of an NPU with the same ``module_name`` must be
    the same hardware.
    """

    module_name: str
    keep_hierarchy = False
    """True: synthesis keeps the module's borders even where it flattens, because LUTs would grow if
    logic moved across them (measured by ``python -m benchmarks.flattening``)."""
    _MustUse__silence = True  # instantiated by name: most are rightly never elaborated

    def ports(self, inputs: Mapping[str, Value]) -> list[tuple[str, str, Value]]:
        """Return (direction ``i`` or ``o``, name, value) of each port, clock and reset left out.

        The value is what ``inputs`` connects to the port, else the port's own signal.
        """
        named = [
            ("i" if member.flow == In else "o", "__".join(map(str, path)), signal)
            for path, member, signal in self.signature.flatten(self)
        ]
        return [(flow, name, inputs.get(name, signal)) for flow, name, signal in named]

    def instance(self, emission: Emission, inputs: Mapping[str, Value]) -> Instance:
        """Return an instance of this block's Verilog module, and register the block for emission.

        inputs: values to connect to input ports, by port name.
        """
        emission.blocks.setdefault(self.module_name, self)
        return Instance(
            self.module_name,
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal()),
            *self.ports(inputs),
        )


def instantiate(m: Module, platform: object, name: str, block: Block, **inputs: Value) -> None:
    """Add ``block`` to ``m`` under ``name``: as instance of its Verilog module, or as a submodule.

    platform: that of the caller's ``elaborate``; an Emission asks for an instance, anything else
    for an Amaranth submodule. inputs: values to connect to input ports, by port name, which
    keeps the Verilog of many instances short; the other ports are connected through the block's
    signals as usual. Raises ValueError if the width of an input differs from its port's.
    """
    for port, value in inputs.items():
        if len(value) != len(getattr(block, port)):
            raise ValueError(f"{len(value)} bits for port {port} of {block.module_name}")
    if isinstance(platform, Emission):
        m.submodules[name] = block.instance(platform, inputs)
    else:
        m.submodules[name] = block
        m.d.comb += [getattr(block, port).eq(value) for port, value in inputs.items()]
