"""Search spaces that only tests use."""

from __future__ import annotations

import dataclasses

from codesign.search.space.declaration import BLOCKS, SpaceDeclaration, load_declaration


def every_block() -> SpaceDeclaration:
    """Return a space with every block, residual and form of stages, and a single channel."""
    base = load_declaration("images")
    network = dataclasses.replace(
        base.network,
        stages=(0, 1, 2, 3),
        channels=((1, 4, 8), (4, 12), (16, 24)),
        kernels=(1, 3, 5),
        blocks=tuple(BLOCKS),
        residual=(False, True, "projection"),
        halve=(True, False),
    )
    npu = dataclasses.replace(base.npu, depthwise_taps=(1, 3))
    return dataclasses.replace(base, network=network, npu=npu)
