"""The file of ``--npu``: the NPU that a network of others gets, in YAML.

It holds the block ``npu`` of a design file, perhaps ``clock_mhz``, and for float networks perhaps
the block ``quantisation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codesign import design as designs
from models.files import yaml_io
from models.files.nodes import Node

CLOCK_MHZ = 100.0
"""Clock of a design whose file says none."""


@dataclass(frozen=True, eq=False)
class NpuFile:
    """Content of a file, of which only the clock is checked yet. Made by ``load``."""

    npu: Node
    clock_mhz: float
    quantisation: Node | None


def load(path: Path) -> NpuFile:
    """Read a file. Raises YamlError."""
    nodes = yaml_io.load(path).fields(("npu", "clock_mhz", "quantisation"), ("npu",))
    clock_mhz = clock(nodes["clock_mhz"]) if "clock_mhz" in nodes else CLOCK_MHZ
    return NpuFile(nodes["npu"], clock_mhz, nodes.get("quantisation"))


def clock(node: Node) -> float:
    """Return a clock in MHz. Raises YamlError."""
    found = node.number(0, designs.MAX_CLOCK_MHZ)
    if not found:
        raise node.error("must be above 0")
    return found
