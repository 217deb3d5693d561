"""One Verilog module per unique block.

Amaranth elaborates every instance of a component into a module of its own. A Block is instead
emitted once, under its ``module_name``, and instantiated by name, so that synthesis, simulator
builds and readers pay for it once. Outside emission (Amaranth's own simulator) a Block is an
ordinary submodule.
"""

from __future__ import annotations

from collections.abc import Mapping

from amaranth import ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In


class Emission:
    """The elaboration platform during Verilog emission: collects the blocks that were placed."""

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        self.static: set[str] = set()
        """Names of hand-written Verilog modules in use (see rtl_gen/verilog)."""


class Block(wiring.Component):
    """A component that becomes one Verilog module, shared by its instances.

    Two blocks with the same ``module_name`` must be the same hardware.
    """

    module_name: str
    _MustUse__silence = True  # placed by name, most instances are never elaborated: not a mistake

    def ports(self, inputs: Mapping[str, Value]) -> list[tuple[str, str, Value]]:
        """(direction ``i`` or ``o``, name, value) of each port: its signal, or what ``inputs``
        connects to it."""
        named = [
            ("i" if member.flow == In else "o", "__".join(map(str, path)), signal)
            for path, member, signal in self.signature.flatten(self)
        ]
        return [(flow, name, inputs.get(name, signal)) for flow, name, signal in named]

    def instance(self, emission: Emission, inputs: Mapping[str, Value]) -> Instance:
        """An instance of this block's module, which ``emission`` will define."""
        emission.blocks.setdefault(self.module_name, self)
        return Instance(
            self.module_name,
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal()),
            *self.ports(inputs),
        )


def instantiate(m: Module, platform: object, name: str, block: Block, **inputs: Value) -> None:
    """Add ``block`` to ``m`` as instance ``name``.

    ``inputs`` are connected here, which keeps the Verilog of many instances short; connect to the
    signals of the other ports as usual. Raises ValueError where a width is not its port's.
    """
    for port, value in inputs.items():
        if len(value) != len(getattr(block, port)):
            raise ValueError(f"{len(value)} bits for port {port} of {block.module_name}")
    if isinstance(platform, Emission):
        m.submodules[name] = block.instance(platform, inputs)
    else:
        m.submodules[name] = block
        m.d.comb += [getattr(block, port).eq(value) for port, value in inputs.items()]
