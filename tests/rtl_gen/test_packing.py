"""Products that share a DSP multiplier fit its ports and can be split, and such arrays are exact.

Extremes at all widths, every input at small ones, random groups of lanes, and whole arrays.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rtl_gen.blocks.mac_array import packed_dot_spec
from rtl_gen.blocks.packed_array import array
from rtl_gen.config import NpuConfig
from rtl_gen.packing import MULT18_BITS, NARROW_BITS, WIDE_BITS, Packing, packing
from rtl_gen.parameters import ConfigError
from tests.rtl_gen.blocks.test_blocks import pack, simulate

PACKINGS = [
    found
    for pixels, digit, bits in itertools.product((1, 2), (1, 2, 4, 8), range(1, 9))
    if (found := packing(bits, digit, pixels))
]


def value(digit: int, bits: int, signed: bool) -> int:
    """Return the value of a digit's bits."""
    return digit - (1 << bits) if signed and digit >> (bits - 1) else digit


def split_sums(
    p: Packing, lanes: Sequence[tuple[Sequence[int], Sequence[int]]], signed: bool
) -> list[int]:
    """Return the sums that the fields of a group's packed sum hold, pixel by pixel of each column.

    ``lanes``: (activation per pixel lane, digit per column) of each input-channel lane.
    """
    half, word = 1 << (p.field_bits - 1), 0
    for pixel in range(p.pixels):
        codes = [activations[pixel] for activations, _ in lanes]
        word += p.start(codes, signed) << (pixel * p.field_bits)
    for field in range(p.pixels, p.fields - 1):
        word += half << (field * p.field_bits)
    word += sum(p.narrow(activations) * p.wide(digits, signed) for activations, digits in lanes)
    top = p.fields - 1
    fields = [(word >> (f * p.field_bits)) % (2 * half) - half for f in range(top)]
    return [*fields, word >> (top * p.field_bits)]


def least_digit(p: Packing) -> int:
    """Return the bits of the most negative digit; with centred activations that is -127."""
    return (1 << (p.digit_bits - 1)) + p.centred


def golden(
    p: Packing, lanes: Sequence[tuple[Sequence[int], Sequence[int]]], signed: bool
) -> list[int]:
    """Return the same sums, product by product."""
    signed = signed or p.always_signed
    return [
        sum(
            (a[pixel] - p.activation_offset) * value(w[column], p.digit_bits, signed)
            for a, w in lanes
        )
        for column in range(2)
        for pixel in range(p.pixels)
    ]


@pytest.mark.parametrize("p", PACKINGS, ids=str)
def test_operands_fit_their_ports_and_sums_their_fields(p: Packing) -> None:
    """Every combination of extreme operands, the same in all lanes of a group."""
    assert p.wide_bits <= WIDE_BITS
    assert p.narrow_bits < NARROW_BITS
    half = 1 << (p.digit_bits - 1)
    digits = {0, 1, 2 * half - 1, least_digit(p), half - 1}
    for signed in (False, True):
        for pair in itertools.product(sorted(digits), repeat=2):
            wide = p.wide(pair, signed)
            assert -(1 << (p.wide_bits - 1)) <= wide < 1 << (p.wide_bits - 1)
            for activations in itertools.product(
                (0, (1 << p.activation_bits) - 1), repeat=p.pixels
            ):
                limit = 1 << (p.narrow_bits - p.centred)
                assert -limit * p.centred <= p.narrow(activations) < limit
                lanes = [(activations, pair)] * p.group_lanes
                assert split_sums(p, lanes, signed) == golden(p, lanes, signed)


@pytest.mark.parametrize("p", [packing(2, 2, 1), packing(1, 2, 2), packing(2, 1, 1)], ids=str)
def test_sums_of_every_pair_of_lanes_are_right_at_small_widths(p: Packing) -> None:
    activations = list(itertools.product(range(1 << p.activation_bits), repeat=p.pixels))
    digits = list(itertools.product(range(1 << p.digit_bits), repeat=2))
    lane = list(itertools.product(activations, digits))
    for signed in (False, True):
        for lanes in itertools.product(lane, repeat=2):
            assert split_sums(p, lanes, signed) == golden(p, lanes, signed)


@given(st.data())
def test_sums_of_any_group_are_right(data: st.DataObject) -> None:
    p = data.draw(st.sampled_from(PACKINGS))
    code = st.integers(0, (1 << p.activation_bits) - 1)
    digit = st.integers(0, (1 << p.digit_bits) - 1)
    lane = st.tuples(st.tuples(*[code] * p.pixels), st.tuples(digit, digit))
    lanes = data.draw(st.lists(lane, min_size=1, max_size=p.group_lanes))
    half = 1 << (p.digit_bits - 1)
    assume(not p.centred or all(half not in digits for _, digits in lanes))
    signed = data.draw(st.booleans())
    assert split_sums(p, lanes, signed) == golden(p, lanes, signed)


def test_the_widths_that_can_share_a_multiplier() -> None:
    fit = {(p.pixels, p.activation_bits, p.digit_bits): p for p in PACKINGS}
    pairs = {(a, d) for pixels, a, d in fit if pixels == 1}
    assert pairs == set(itertools.product(range(1, 9), (1, 2, 4, 8))) - {(1, 1)}
    assert {a for pixels, a, d in fit if (pixels, d) == (2, 4)} == {1, 2, 3, 4}
    assert not any(pixels == 2 and d == 8 for pixels, _, d in fit)
    assert {key for key, p in fit.items() if p.centred} == {(1, 8, 8)}
    assert fit[1, 4, 4].wide_bits <= MULT18_BITS < fit[1, 8, 8].wide_bits


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(columns=3, lanes=3, post_units=3), "npu.columns must be a multiple of 2"),
        (dict(sparsity="2:4"), "npu.sparsity must be dense with npu.multiplier dsp2, not 2:4"),
        (dict(depthwise_taps=3), "npu.depthwise_taps must be 1 with npu.multiplier dsp2, not 3"),
        (dict(multiplier="dsp4", pixels=3), "npu.pixels must be a multiple of 2"),
        (dict(multiplier="dsp4", weight_digit_bits=4, activation_bits=5),
         "npu.activation_bits must be 1..4 with npu.multiplier dsp4 and npu.weight_digit_bits 4, "
         "not 5"),
        (dict(multiplier="dsp4", weight_digit_bits=8),
         "npu.weight_digit_bits must be less than 8 with npu.multiplier dsp4"),
        (dict(weight_digit_bits=1, activation_bits=1), "npu.activation_bits must be 2..8"),
    ],
)  # fmt: skip
def test_parameters_that_exclude_sharing_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NpuConfig(**{"multiplier": "dsp2", **values})


@pytest.mark.parametrize(
    "values",
    [
        dict(lanes=4, columns=4, weight_digit_bits=8, activation_bits=8, pixels=1),
        dict(lanes=16, columns=16, weight_digit_bits=8, activation_bits=8, pixels=1),
        dict(lanes=2, columns=4, weight_digit_bits=4, activation_bits=4, pixels=3),
        dict(lanes=3, columns=6, weight_digit_bits=8, activation_bits=8, pixels=1),
        dict(lanes=6, columns=6, weight_digit_bits=2, activation_bits=5, pixels=1),
        dict(lanes=5, columns=10, weight_digit_bits=1, activation_bits=2, pixels=2),
        dict(lanes=9, columns=18, weight_digit_bits=8, activation_bits=1, pixels=1),
        dict(lanes=8, columns=8, weight_digit_bits=4, activation_bits=4, pixels=2,
             multiplier="dsp4"),
        dict(lanes=6, columns=6, weight_digit_bits=1, activation_bits=6, pixels=4,
             multiplier="dsp4"),
    ],
    ids=str,
)  # fmt: skip
def test_the_array_sums_every_product(values: dict[str, Any]) -> None:
    """Random steps of several digit passes, against sums in Python."""
    config = NpuConfig(**{"multiplier": "dsp2", "post_units": 1, "accumulator_bits": 28, **values})
    spec = packed_dot_spec(config)
    assert spec
    rng = random.Random(5)
    a, d, w = config.activation_bits, config.weight_digit_bits, config.accumulator_bits
    steps = []
    for _ in range(60):
        ends = rng.random() < 0.3
        code = (lambda: (1 << a) - 1) if ends else (lambda: rng.randrange(1 << a))
        digit = (lambda: least_digit(spec.packing)) if ends else (lambda: rng.randrange(1 << d))
        steps.append((
            [[code() for _ in range(config.lanes)] for _ in range(config.pixels)],
            [[digit() for _ in range(config.lanes)] for _ in range(config.columns)],
            rng.random() < 0.8, rng.random() < 0.2, rng.random() < 0.1, rng.random() < 0.5,
        ))  # fmt: skip
    expected, sums = [], [0] * (config.pixels * config.columns)
    steps[0] = (*steps[0][:2], True, True, False, True)
    for codes, digits, valid, clear, shift, signed in steps:
        partials = [
            sum(
                (x - config.activation_offset) * value(y, d, signed or spec.packing.always_signed)
                for x, y in zip(codes[p], digits[c], strict=True)
            )
            for p in range(config.pixels)
            for c in range(config.columns)
        ]
        if valid:
            kept = [0 if clear else s << (d if shift else 0) for s in sums]
            sums = [(k + q) % (1 << w) for k, q in zip(kept, partials, strict=True)]
        expected.append(sums)
    dut = array(config)
    latency = dut.latency_cycles(config)

    def drive(ctx: Any, cycle: int) -> None:
        codes, digits, *flags = steps[min(cycle, len(steps) - 1)]
        ctx.set(dut.activations, pack([c for word in codes for c in word], a))
        ctx.set(dut.digits, pack([x for column in digits for x in column], d))
        valid, clear, shift, signed = flags
        ctx.set(dut.valid, valid and cycle < len(steps))
        ctx.set(dut.clear, clear)
        ctx.set(dut.shift, shift)
        ctx.set(dut.digit_signed, signed)

    def check(ctx: Any, cycle: int) -> None:
        k = cycle - latency + 1
        if 0 <= k < len(steps):
            found = ctx.get(dut.accumulators)
            got = [found >> (w * i) & ((1 << w) - 1) for i in range(len(expected[k]))]
            assert got == expected[k], k

    simulate(dut, len(steps) + latency, drive, check)
