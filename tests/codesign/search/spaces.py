"""Search spaces that only tests use."""

from __future__ import annotations

import dataclasses

from codesign.search.space.choices import BLOCKS, EXPANSIONS, GHOST, PLAIN, POOLINGS, STACK
from codesign.search.space.declaration import SpaceDeclaration, load_declaration


def every_block() -> SpaceDeclaration:
    """Return a space with every block, residual and form of stages, and a single channel."""
    base = load_declaration("images")
    network = dataclasses.replace(
        base.network,
        stages=(0, 1, 2, 3),
        channels=((1, 4, 8), (4, 12, 10), (16, 24)),
        kernels=(1, 3, 5),
        pooling=POOLINGS,
        blocks=((PLAIN, *EXPANSIONS), BLOCKS, BLOCKS),
        residual=(False, True, "projection"),
        halve=(True, False),
    )
    npu = dataclasses.replace(base.npu, depthwise_taps=(1, 3))
    return dataclasses.replace(base, network=network, npu=npu)


def concats() -> SpaceDeclaration:
    """Return a space whose stages put maps side by side, of widths that fill words or do not."""
    every = every_block()
    network = dataclasses.replace(
        every.network,
        channels=((8, 12, 10), (6, 14, 16), (24, 42)),
        blocks=((PLAIN, GHOST, STACK), (GHOST, STACK), (GHOST, STACK, "separable", "inverted2")),
    )
    return dataclasses.replace(every, network=network)


def mixed_patterns() -> SpaceDeclaration:
    """Return the space ``concats`` with a pattern for each stage, on arrays of any pattern."""
    base = concats()
    every = ("dense", "1:4", "2:4", "4:8")
    bits = dataclasses.replace(base.bits, sparsity=(every, every[1:], every, every))
    npu = dataclasses.replace(base.npu, array_sparsity=("weights", *every))
    return dataclasses.replace(base, bits=bits, npu=npu)


def with_memory_port(depths: tuple[int, ...]) -> SpaceDeclaration:
    """Return the space ``images`` on NPUs that may fetch weights, with weight memories so deep."""
    base = load_declaration("images")
    npu = dataclasses.replace(base.npu, memory_port_bits=(0, 32, 64, 128), weight_depth=depths)
    return dataclasses.replace(base, npu=npu)
