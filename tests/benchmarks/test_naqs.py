"""The model of the ICCAD 2019 joint search gives the figures that its authors published."""

from __future__ import annotations

import itertools

import pytest

from benchmarks.naqs import __main__ as command
from benchmarks.naqs import cost, designs, partition, reality
from benchmarks.naqs.cost import Convolution, Fixed, Form

LAYERS = designs.convolutions()


def test_the_headline_design_is_as_published() -> None:
    """29,904 LUTs, 77,328 cycles and 1,293 images/s, which the search itself finds, too."""
    found = partition.of_tiles(LAYERS, designs.TILES, Form.PUBLISHED)
    assert (found.luts, found.cycles) == (29_904, 77_328)
    assert found.images_per_second == pytest.approx(1293.19, abs=0.005)
    assert partition.search(LAYERS, 30_000, 1_000, Form.PUBLISHED) == found


def test_the_corrected_model_needs_more_and_finds_other_tiles() -> None:
    same = partition.of_tiles(LAYERS, designs.TILES, Form.CORRECTED)
    assert same.luts == 71_376
    again = partition.search(LAYERS, 30_000, 1_000, Form.CORRECTED)
    assert again is not None
    assert (again.luts, round(again.images_per_second)) == (29_832, 1_796)


def test_limits_that_nothing_meets_have_no_partition() -> None:
    assert partition.search(LAYERS, 300, 1_000, Form.CORRECTED) is None


def test_search_is_never_better_than_all_partitions() -> None:
    """Two small layers: every tile and both partitions are tried."""
    layers = [
        Convolution(3, 4, (3, 3), (6, 6), Fixed(1, 3), Fixed(1, 3), Fixed(2, 2)),
        Convolution(4, 5, (1, 3), (3, 3), Fixed(2, 2), Fixed(2, 3), Fixed(1, 4)),
    ]
    tiles = [itertools.product(range(1, n + 1), range(1, m + 1)) for n, m in ((3, 4), (4, 5))]
    possible = [
        partition.of_tiles(layers, groups, Form.CORRECTED)
        for first, second in itertools.product(*tiles)
        for groups in (((first,), (second,)), ((first, second),))
    ]
    for most_luts in (200, 400, 800, 1600):
        best = min((p.cycles for p in possible if p.luts <= most_luts), default=None)
        found = partition.search(layers, most_luts, 1, Form.CORRECTED)
        assert (found is None) == (best is None)
        if found is not None and best is not None:
            assert found.luts <= most_luts
            assert best <= found.cycles <= 1.25 * best


def test_an_operand_without_bits_costs_no_multiplier() -> None:
    assert cost.multiplier_luts(Fixed(0, 0), Fixed(2, 3), Form.CORRECTED) == 0
    assert cost.multiplier_luts(Fixed(0, 5), Fixed(2, 3), Form.PUBLISHED) == 0
    assert cost.multiplier_luts(Fixed(0, 5), Fixed(2, 3), Form.CORRECTED) == 41


def test_the_network_on_our_npu_is_the_headlines() -> None:
    """Its convolutions have the products that the paper's network has, 15.55 million."""
    shapes = reality.network().shapes
    maps = [shapes[layer.name] for layer in reality.network().layers if layer.spec.op == "conv2d"]
    products = sum(
        rows * cols * out * layer.in_channels * layer.kernel[0] * layer.kernel[1]
        for (out, rows, cols), layer in zip(maps, LAYERS, strict=True)
    )
    assert products == sum(
        layer.maps[0] * layer.maps[1] * layer.in_channels * layer.out_channels
        * layer.kernel[0] * layer.kernel[1] for layer in LAYERS
    )  # fmt: skip
    assert round(products / 1e6, 2) == 15.55


def test_rows_of_the_command() -> None:
    rows = list(command.rows(real=False))
    assert [row["luts"] for row in rows] == [29_904, 71_376, 29_832]
    assert [row["fits"] for row in rows] == [True, False, True]
