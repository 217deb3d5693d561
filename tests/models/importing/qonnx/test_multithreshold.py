"""MultiThreshold of any table: imported networks compute what the file does, or refuse it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
from tests.models.importing.qonnx.graphs import Graph

CODES = np.arange(-8, 8, dtype=np.float32).reshape(16, 1, 1, 1)
"""All values of an input of 4 bits."""
TOLD = "sums near one may get the next code"
ONE = np.ones((1, 1, 1, 1))


def table(bits: int, kind: str, rows: int, rng: np.random.Generator) -> Any:
    """Thresholds that rise: of equal distances (whole, half or fractional), nearly so, or any."""
    count = (1 << bits) - 1
    if kind == "any":
        return np.sort(rng.integers(-20, 21, (rows, count)) / 2, axis=1)
    step = rng.integers(1, 7, (rows, 1)) * {"even": 1.0, "half": 0.5, "fraction": 0.3}[kind]
    return rng.integers(-30, 10, (rows, 1)) / 2 + step * np.arange(count)


@pytest.mark.parametrize("kind", ["even", "half", "fraction", "any"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_codes_are_those_of_the_file(bits: int, kind: str, tmp_path: Path) -> None:
    if bits == 4 and kind == "any":
        pytest.skip("codes of 4 bits have equal distances")
    for seed in range(6):
        rng = np.random.default_rng([seed, bits])
        g = Graph((1, 2, 4, 4))
        maps = g.conv(g.x, rng.integers(-3, 4, (3, 2, 2, 2)), rng.integers(-9, 9, 3) / 1.0)
        bias = float(rng.choice([0, -(1 << (bits - 1)), -1]))
        scale = float(rng.choice([1.0, 0.5]))
        made = g.compare(
            maps, table(bits, kind, int(rng.choice([1, 3])), rng),
            out_scale=scale, out_bias=bias * scale,
        )  # fmt: skip
        x = rng.integers(-8, 8, (40, 2, 4, 4)).astype(np.float32)
        apart = np.abs(g.differences(made, tmp_path, x))
        told = any(TOLD in row.note for row in g.read(made, tmp_path).table.rows)
        assert apart.max() < (1.01 * scale if told else 1e-5), seed
        assert not told or bits > 3


def test_sums_that_equal_a_threshold_reach_it(tmp_path: Path) -> None:
    for rows in ([[0, 1, 2]], [[-3, 0, 3]], [[-100, 0, 100.1]], [[-1.5, -0.5, 0.5]]):
        g = Graph()
        out = g.conv(g.compare(g.conv(g.x, ONE), rows, out_bias=-2.0), ONE)
        assert not g.differences(out, tmp_path, CODES).any(), rows


def test_rounding_is_kept_where_it_gives_the_same_codes(tmp_path: Path) -> None:
    """So an NPU that multiplies takes most files; wider tensors beside it need that it does."""
    for rows, compared in (([[-1, 1, 3]], False), ([[-6, 0, 6]], True)):
        g = Graph()
        made = g.compare(g.conv(g.x, ONE), rows, out_bias=-2.0)
        network = g.read(g.conv(made, ONE), tmp_path).integer
        assert network
        assert (network.mac_layers[0].thresholds is not None) == compared, rows


def test_what_no_multiplier_has_beside_wide_tensors_is_told(tmp_path: Path) -> None:
    g = Graph()
    made = g.compare(g.conv(g.x, ONE), [[-6, 0, 6]], out_bias=-2.0)
    found = g.read(g.conv(g.quant(g.conv(made, ONE), 1.0, 8), ONE), tmp_path)
    assert found.integer
    assert all(layer.thresholds is None for layer in found.integer.mac_layers)
    assert any(TOLD in row.note for row in found.table.rows)


def test_padding_before_thresholds_gets_the_code_of_0(tmp_path: Path) -> None:
    pads = {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}
    x = np.random.default_rng(0).integers(-8, 8, (9, 1, 2, 2)).astype(np.float32)
    g = Graph((1, 1, 2, 2))
    padded = g.op("Pad", [g.x, g.constant(np.array(pads["pads"]))])
    out = g.conv(g.compare(padded, [[-6, 0, 3]]), np.ones((1, 1, 2, 2)))
    assert not g.differences(out, tmp_path, x).any()
    g = Graph((1, 1, 2, 2))
    padded = g.op("Pad", [g.conv(g.x, ONE), g.constant(np.array(pads["pads"]))])
    found = g.read(g.conv(g.compare(padded, [[-6, 0, 3]]), np.ones((1, 1, 2, 2))), tmp_path)
    assert "zeros get another code" in str(found.table.refused[0])


@pytest.mark.parametrize("kind", ["compare", "scale"])
def test_a_channel_that_stands_twice_has_one_row_of_numbers(kind: str, tmp_path: Path) -> None:
    g = Graph((1, 2, 1, 1))
    both = g.op("Gather", [g.x, g.constant(np.array([0, 0]))], axis=1)
    if kind == "compare":
        out = g.compare(both, [[-6, 0, 3], [1, 2, 9]])
    else:
        factors = g.constant(np.array([1.0, 3.0]).reshape(1, 2, 1, 1))
        out = g.quant(g.op("Mul", [both, factors]), 1.0, 6)
    (refused,) = g.read(out, tmp_path).table.refused
    assert "one channel that stands in its input twice" in refused.reason


def test_an_operand_that_the_file_does_not_round_keeps_its_range(tmp_path: Path) -> None:
    """Eight bits for what the sum can tell apart, however the sum is scaled behind."""
    for factor in (1.0, 0.125, 0.01, 4.0):
        g = Graph()
        total = g.op("Add", [g.conv(g.x, 7 * ONE), g.x])
        scaled = g.op("Mul", [total, g.constant(np.float32(factor))])
        out = g.quant(scaled, 0.25 * factor, 8)
        assert np.abs(g.differences(out, tmp_path, CODES)).max() < 1e-5, factor
    g = Graph()
    total = g.op("Add", [g.conv(g.x, 7 * ONE), g.x])
    assert not g.differences(g.compare(total, [[-40, 10, 31]]), tmp_path, CODES).any()


def test_clips_beyond_thresholds_and_channels_without_weights(tmp_path: Path) -> None:
    g = Graph()
    low, high = (g.constant(np.float32(end)) for end in (0, 5))
    clipped = g.op("Clip", [g.conv(g.x, ONE), low, high])
    assert not g.differences(g.compare(clipped, [[0, 6, 7]]), tmp_path, CODES).any()
    g = Graph()
    dead = g.op("Mul", [g.conv(g.x, ONE), g.constant(np.zeros((1, 1, 1, 1)))])
    assert not g.differences(g.compare(dead, [[1, 2, 4]], out_scale=1e6), tmp_path, CODES).any()
    g = Graph()
    nearly = g.conv(g.x, ONE, np.array([-5e-4]))
    assert not g.differences(g.compare(nearly, [[0, 3, 5]]), tmp_path, CODES).any()


def test_what_a_rounded_last_bias_lacks_is_an_offset(tmp_path: Path) -> None:
    g = Graph()
    out = g.conv(g.x, ONE, np.array([0.375]))
    assert np.abs(g.differences(out, tmp_path, CODES)).max() < 1e-6
    network = g.read(out, tmp_path).integer
    assert network
    assert network.offset == pytest.approx((0.375,))


def test_a_function_behind_thresholds_has_a_layer_of_its_own(tmp_path: Path) -> None:
    g = Graph()
    made = g.op("Tanh", [g.compare(g.conv(g.x, ONE), [[-6, 0, 3]], out_bias=-1.0)])
    out = g.conv(g.quant(made, 0.25, 4), ONE)
    assert not g.differences(out, tmp_path, CODES).any()


@pytest.mark.parametrize(("layout", "shape"), [("NHWC", (1, 5, 6, 3)), ("NWC", (1, 7, 3))])
def test_channels_may_be_last(layout: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    g = Graph(shape)
    out = g.compare(g.x, [[-6, 0, 3], [1, 2, 9], [-1, 1, 2]], data_layout=layout)
    x = np.random.default_rng(0).integers(-8, 8, (4, *shape[1:])).astype(np.float32)
    assert not g.differences(out, tmp_path, x).any()


@pytest.mark.parametrize(
    ("rows", "given", "reason"),
    [
        ([1.0, 2.0, 3.0], {}, "thresholds of shape (3,)"),
        (np.zeros((0, 3)), {}, "thresholds of shape (0, 3)"),
        ([[1, 2, 3]], {"out_scale": 0.0}, "out_scale 0"),
        ([[1, 2, 3]], {"out_bias": float("nan")}, "out_bias nan"),
        ([[1, 2, 4]], {"data_layout": "HWC"}, "layout HWC"),
    ],
)
def test_nonsense_is_refused_by_name(
    rows: Any, given: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    g = Graph()
    (refused,) = g.read(g.compare(g.x, rows, **given), tmp_path).table.refused
    assert refused.operator == "MultiThreshold"
    assert reason in refused.reason
