"""One Verilog module per unique block.

Amaranth elaborates every instance of a component into a module of its own. A Block is instead
emitted once, under its ``module_name``, and instantiated by name, so that synthesis, simulator
builds and readers pay for it once. Outside emission (Amaranth's own simulator) a Block is an
ordinary submodule.
"""

from __future__ import annotations

from amaranth import ClockSignal, Instance, Module, ResetSignal, Signal
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

    def ports(self) -> list[tuple[str, str, Signal]]:
        """(direction ``i`` or ``o``, name, signal) of each port."""
        return [
            ("i" if member.flow == In else "o", "__".join(map(str, path)), signal)
            for path, member, signal in self.signature.flatten(self)
        ]

    def instance(self, emission: Emission) -> Instance:
        """An instance of this block's module, which ``emission`` will define."""
        emission.blocks.setdefault(self.module_name, self)
        return Instance(
            self.module_name,
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal()),
            *self.ports(),
        )


def place(m: Module, platform: object, name: str, block: Block) -> None:
    """Add ``block`` to ``m`` as instance ``name``; connect to its port signals as usual."""
    if isinstance(platform, Emission):
        m.submodules[name] = block.instance(platform)
    else:
        m.submodules[name] = block
