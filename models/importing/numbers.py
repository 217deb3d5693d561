"""Integer weights, biases, multipliers and shifts of a stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models import arithmetic
from models.errors import ModelError
from models.importing.mapping.kernels import MOST_ADD_BITS
from models.importing.mapping.stages import Kernel, Stage
from models.importing.readers.foreign import Grid, Ints, Reals
from models.integer.lookups import lookup
from models.integer.network import Lookup

SCALE_BITS = 16
"""Bits of the requantisation multipliers of imported networks."""
ADD_ERROR = 1 / 512
"""Largest error of a sum of two maps by its weights, in steps of the result, where bits allow."""
COPY_CODES, COPY_ERROR = 64, 1 / 16
"""Largest weight of a layer that scales channels alone, and error of its bias from which on the
weight is larger than 1, in steps of the result."""
_SAME_THRESHOLD = 2.0**-22
"""Share of its numbers that a threshold may lie above an integer by, as float32 rounds them."""
_SAME_BIAS = 1e-5
"""Relative difference of a bias's scale from that of the accumulators, by rounding of the file."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Integers that a MacLayer computes with; shapes as there. Made by ``numbers_of``."""

    weights: tuple[Ints, ...]
    weight_bits: int
    bias: Ints
    multiplier: Ints
    shift: Ints
    unit: Reals
    """Real value of one accumulator unit, (out,)."""


def numbers_of(stage: Stage, scales: Sequence[float], out_scale: float | None) -> Numbers:
    """Return the integers of a stage. Raises ModelError.

    scales: real value of a code of each input; out_scale: of the output, None for accumulators.
    """
    sign = np.where(stage.gain < 0, -1, 1).astype(np.int64)
    if stage.op == "add":
        weights, bits, base = _sum_weights(stage, scales, out_scale or max(scales))
    else:
        (kernel,) = stage.kernels or (_copies(stage, scales[0], out_scale),)
        if kernel.codes is None or kernel.scale is None:
            raise ModelError(
                f"layer {stage.name} ({stage.op}): its weights are not quantised; quantise the "
                "weights of every layer, or none of the network"
            )
        weights, base = [kernel.codes], scales[0] * kernel.scale
        bits = weight_bits(kernel.codes, may_be_binary=stage.op in ("conv2d", "linear"))
    unit = base * np.abs(stage.gain)
    dead = unit == 0
    # A channel without weights is its bias alone, in units fine enough.
    unit = np.where(dead, (out_scale or 1.0) / 256, unit)
    flipped = tuple(
        np.where(dead, 0, sign)[:, None, None, None] * codes.astype(np.int64) for codes in weights
    )
    bias = np.rint(stage.bias / unit)
    if stage.bias_codes is not None:
        codes, scale = stage.bias_codes
        near = np.abs(scale - base) <= _SAME_BIAS * np.abs(base)
        bias = np.where(near & ~dead, codes * sign, bias)
    if np.abs(bias).max(initial=0) >= 1 << 40:
        raise ModelError(f"layer {stage.name}: a bias of {np.abs(bias).max():g} units")
    pairs = [(0, 1)] * len(unit) if out_scale is None else _requant(stage, unit / out_scale)
    multiplier, shift = np.array(pairs, np.int64).T
    return Numbers(flipped, bits, bias.astype(np.int64), multiplier, shift, unit)


def _requant(stage: Stage, factors: Reals) -> list[tuple[int, int]]:
    try:
        return [arithmetic.nearest_scale(float(factor), SCALE_BITS) for factor in factors]
    except ValueError as error:
        raise ModelError(f"layer {stage.name}: {error}") from None


def table_of(stage: Stage, before: Grid, after: Grid) -> Lookup:
    """Return the table of an activation for an input on the grid ``before``."""
    curve = stage.curve
    assert curve

    def clipped(x: Reals) -> Reals:
        return np.clip(curve.values(x), *stage.clip)

    ends = [(one.scale, one.zero_point, one.bits) for one in (before, after)]
    return lookup(clipped, ends[0], ends[1], (after.low, after.high))


def accumulators_of(stage: Stage, numbers: Numbers) -> Ints | None:
    """Return the least accumulators that reach a stage's thresholds, int64 (out, codes - 1).

    None where it rounds. Beyond the stage's clip every accumulator reaches a threshold, or none. A
    bias counts as the file has it, not as it is rounded.
    """
    if stage.thresholds is None:
        return None
    given, bias = stage.thresholds, stage.bias[:, None]
    reached = np.where(given <= bias, arithmetic.LEAST, arithmetic.MOST)
    with np.errstate(invalid="ignore"):
        sums = (given - bias) / numbers.unit[:, None]
        slack = _SAME_THRESHOLD * (np.abs(given) + np.abs(bias)) / numbers.unit[:, None]
        least = np.ceil(sums - slack) + numbers.bias[:, None]
    constant = ~np.any([part.any(axis=(1, 2, 3)) for part in numbers.weights], axis=0)
    least = np.where(constant[:, None], reached, least)
    least = np.where(stage.thresholds <= stage.clip[0], arithmetic.LEAST, least)
    least = np.where(stage.thresholds > stage.clip[1], arithmetic.MOST, least)
    return np.clip(least, arithmetic.LEAST, arithmetic.MOST).astype(np.int64)


def rounding_as(
    numbers: Numbers, thresholds: Ints, zero_point: int, bits: int, reach: Ints
) -> tuple[Numbers, bool]:
    """Return numbers with biases by which rounding gives the codes of thresholds, if any does.

    thresholds: least accumulators of the codes 1 and up, (out, 2**bits - 1); reach: largest
    magnitude of each channel's sum without bias, (out,). False where some sums get another code:
    then as few codes as can be begin elsewhere.
    """
    wanted = thresholds - numbers.bias[:, None]
    steps = arithmetic.thresholds(numbers.multiplier, numbers.shift, zero_point, bits)
    near = np.abs(wanted) <= reach[:, None] + 1
    # A sum s reaches a code where s + bias is a step or more: steps - bias is what is wanted.
    biases = np.array([
        np.bincount(own - own.min()).argmax() + own.min() if len(own) else bias
        for bias, own in (
            (bias, row[good])
            for bias, row, good in zip(numbers.bias, steps - wanted, near, strict=True)
        )
    ], np.int64)  # fmt: skip
    ends = -reach[:, None] - 1, reach[:, None] + 1
    found = np.clip(steps - biases[:, None], *ends)
    exact = bool((found == np.clip(wanted, *ends)).all())
    return dataclasses.replace(numbers, bias=biases), exact


def ones(channels: int, code: int = 1) -> Kernel:
    """Return the kernel of a copy: 1 for each channel, as so many units."""
    codes = np.full((channels, 1, 1, 1), code, np.int64)
    return Kernel(np.ones(codes.shape), codes, np.full(channels, 1 / code))


def _copies(stage: Stage, scale: float, out_scale: float | None) -> Kernel:
    """Return the kernel of a stage without weights of its own, whose bias is in its units.

    They are as fine as the bias needs, up to a COPY_CODES-th of the input's codes (of ``scale``).
    """
    code = 1
    while out_scale is not None and stage.thresholds is None and code < COPY_CODES:
        unit = np.where(stage.gain == 0, 1.0, scale * np.abs(stage.gain) / code)
        lacks = np.abs(stage.bias - np.rint(stage.bias / unit) * unit)
        if (np.where(stage.gain == 0, 0.0, lacks) <= COPY_ERROR * out_scale).all():
            break
        code *= 2
    return ones(stage.shape[0], code)


def weight_bits(codes: Ints, *, may_be_binary: bool) -> int:
    """Return the fewest bits that hold weights in -top..top; 1 where all are +1 or -1.

    >>> weight_bits(np.array([[[[-128]], [[3]]]]), may_be_binary=True)
    9
    """
    most = int(np.abs(codes).max(initial=0))
    if may_be_binary and most == 1 and codes.shape[1] > 1 and codes.all():
        return 1
    return max(most.bit_length() + 1, 2)


def _sum_weights(
    stage: Stage, scales: Sequence[float], out_scale: float
) -> tuple[list[Ints], int, Reals]:
    """Return weights of a sum's two sources, their bits, and the real value of a unit (out,)."""
    given = [(k.codes, k.scale) for k in stage.kernels]
    codes = [part for part, _ in given if part is not None]
    units: list[Reals] = [s * k for s, (_, k) in zip(scales, given, strict=True) if k is not None]
    if len(codes) == len(units) == 2:
        if (np.abs(units[0] - units[1]) > _SAME_BIAS * np.abs(units[0])).any():
            raise ModelError(f"layer {stage.name}: adds products of different units")
        return codes, max(weight_bits(part, may_be_binary=False) for part in codes), units[0]
    signs = [np.sign(kernel.values).astype(np.int64) for kernel in stage.kernels]
    sizes = [float(np.abs(kernel.values).max()) for kernel in stage.kernels]  # of all channels
    scales = [scale * size for scale, size in zip(scales, sizes, strict=True)]
    first, second, bits = sum_ratio(scales[0], scales[1], out_scale)
    # Of the larger weight, whose relative rounding is the smaller one.
    unit = scales[0] / first if first >= second else scales[1] / second
    weights = [signs[0] * first, signs[1] * second]
    return weights, bits, np.full(stage.shape[0], unit)


def sum_ratio(first: float, second: float, out_scale: float) -> tuple[int, int, int]:
    """Return integer weights in the ratio of two scales, and their bits.

    The fewest bits, 2 to MOST_ADD_BITS, with which a sum of 8-bit codes errs by up to ADD_ERROR
    steps of ``out_scale`` through the ratio's rounding; else those of the least error.

    >>> sum_ratio(0.5, 0.25, 0.5)
    (2, 1, 3)
    """
    large, small = max(first, second), min(first, second)
    tops = np.arange(1, 1 << (MOST_ADD_BITS - 1))
    others = np.maximum(np.rint(tops * (small / large)), 1)
    errors = np.abs(others / tops * large - small) * 255 / out_scale
    good = np.flatnonzero(errors <= ADD_ERROR)
    place = int(good[0]) if len(good) else int(errors.argmin())
    pair = (int(tops[place]), int(others[place]))
    bits = max(pair[0].bit_length() + 1, 2)
    return (*(pair if first >= second else pair[::-1]), bits)
