"""The design behind the headline of the ICCAD 2019 paper: 82.98 %, 1,293 images/s, 30,000 LUTs."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.naqs.cost import Convolution, Fixed

IMAGE = (3, 32, 32)
INPUT = Fixed(1, 6)
"""Format of the image in the hardware model; its accuracy was computed with 8 + 8 bits."""
MOST_LUTS, LEAST_IMAGES_PER_SECOND = 30_000, 1_000
"""Limits of the search that found the design."""
CLAIMED_ACCURACY = 0.8298
"""On the test images, by which the epoch was chosen, too."""


@dataclass(frozen=True)
class Layer:
    """Convolution with 'same' padding, then max pooling (its stride is its size; 1: none)."""

    kernel: tuple[int, int]
    out_channels: int
    pool: int
    output: Fixed
    weights: Fixed


HEADLINE = (
    Layer((5, 3), 48, 1, Fixed(2, 6), Fixed(2, 6)),
    Layer((3, 1), 48, 2, Fixed(3, 2), Fixed(2, 5)),
    Layer((1, 7), 36, 2, Fixed(2, 5), Fixed(1, 5)),
    Layer((7, 3), 36, 1, Fixed(3, 1), Fixed(2, 4)),
    Layer((5, 5), 24, 1, Fixed(3, 3), Fixed(3, 4)),
    Layer((1, 1), 24, 1, Fixed(2, 5), Fixed(0, 6)),
)
TILES = (((3, 48), (12, 48)), ((16, 36),), ((18, 36),), ((18, 24), (8, 24)))
"""Its tiles (Tn, Tm), by groups."""


def convolutions(layers: tuple[Layer, ...] = HEADLINE) -> list[Convolution]:
    """Return the layers as the hardware model takes them."""
    channels, rows, cols = IMAGE
    before, found = INPUT, []
    for layer in layers:
        found.append(
            Convolution(
                channels, layer.out_channels, layer.kernel, (rows, cols),
                before, layer.weights, layer.output,
            )
        )  # fmt: skip
        channels, before = layer.out_channels, layer.output
        rows, cols = rows // layer.pool, cols // layer.pool
    return found
