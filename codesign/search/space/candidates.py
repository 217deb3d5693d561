"""Decoding of candidates to NPUs: as a table for estimates, one by one as designs."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from codesign.compiler import minimal_depths
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.table import ConfigTable
from codesign.design import DatasetSpec, Design
from codesign.search.space import accumulators
from codesign.search.space.choices import OF_WEIGHTS, PORT, WEIGHT_DEPTH
from codesign.search.space.declaration import NpuChoices
from codesign.search.space.genome import Genome, Ints
from models.integer.lower import shape_only
from models.quantisation.plan import MAX_BITS
from rtl_gen.config import NpuConfig
from rtl_gen.packing import COLUMNS, packing
from rtl_gen.parameters import (
    BINARY_NEEDS,
    DEPTH_RANGES,
    DIGIT_BITS,
    LEAST_REUSE_LANES,
    MULTIPLIERS,
    PACKED_PIXELS,
    RANGES,
    REQUANTISATIONS,
    SPARSITIES,
    WIDE_INPUT_PASSES,
    is_stacked,
)

MOST_THRESHOLD_BITS = 2
"""Widest codes of arrays whose post units compare with thresholds. Those of 3 bits have seven a
channel, whose memories take more LUTs than multiplying saves where there are many channels."""


def npu_table(space: Genome, candidates: Ints, layers: LayerTable) -> ConfigTable:
    """Return the NPUs of candidates, shape (n, genes), whose networks are ``layers``.

    Choices that do not fit each other are adapted as NpuChoices says; an array whose lanes are no
    multiple of M is dense. Accumulators are those that training keeps to (``accumulators``), but
    hold any weights where the array subtracts a number from codes (NpuConfig.activation_offset).
    Memories have the smallest depths that NpuConfig allows, but the chosen one for weights beside a
    memory port; cost.cycles.schedule tells those that networks need.
    """
    lanes = space.integers(candidates, "lanes")
    allowed = (OF_WEIGHTS, *SPARSITIES)
    wished = space.words(candidates, "array_sparsity", allowed, OF_WEIGHTS)
    patterns = np.where(wished == 0, space.patterns(candidates), wished - 1)
    groups = np.array([group for _, group in SPARSITIES.values()])[patterns]
    sparsity = np.where(lanes % groups == 0, patterns, 0)
    words = np.minimum(space.integers(candidates, "column_words"), RANGES["columns"][1] // lanes)
    depths = {
        name: np.full(len(candidates), low, dtype=np.int64)
        for name, (low, _) in DEPTH_RANGES.items()
    }
    ports = _chosen(space, candidates, PORT)
    if PORT in space.index:
        depths[WEIGHT_DEPTH] = np.where(
            ports > 0, _chosen(space, candidates, WEIGHT_DEPTH), depths[WEIGHT_DEPTH]
        )
    passes = _wide_passes(space, candidates, layers)
    activation_bits = np.where(passes > 0, layers.inner_bits, layers.activation_bits)
    multiplier = _multipliers(space, candidates, activation_bits, sparsity == 0)
    digits = space.integers(candidates, "weight_digit_bits")
    kept = accumulators.kept_bits(space, candidates, layers)
    return ConfigTable(
        pixels=space.integers(candidates, "pixels"),
        lanes=lanes,
        columns=lanes * words,
        weight_digit_bits=digits,
        activation_bits=activation_bits,
        accumulator_bits=np.where(
            (kept > 0) & ~_moved(multiplier, activation_bits, digits),
            kept,
            accumulators.any_weights(layers),
        ),
        scale_bits=space.integers(candidates, "scale_bits"),
        depthwise_taps=_depthwise_taps(space, candidates, multiplier, sparsity),
        post_units=np.gcd(lanes, space.integers(candidates, "post_units")),
        multiplier=multiplier,
        sparsity=sparsity,
        memory_port_bits=ports,
        memory_tiles=np.zeros(len(candidates), dtype=np.int64),
        binary_weights=_binary(space, candidates, layers, multiplier, sparsity),
        wide_input_passes=passes,
        activation_tables=np.zeros(len(candidates), dtype=np.int64),
        requantisation=np.where(
            activation_bits <= MOST_THRESHOLD_BITS,
            REQUANTISATIONS.index("thresholds"),
            REQUANTISATIONS.index("multiply"),
        ),
        **depths,
    )


def _chosen(space: Genome, candidates: Ints, name: str) -> Ints:
    """Return the values of a field of NpuChoices, shape (n,), the default where it is no gene."""
    if name in space.index:
        return space.integers(candidates, name)
    return np.full(len(candidates), getattr(NpuChoices, name)[0], dtype=np.int64)


def _wide_passes(space: Genome, candidates: Ints, layers: LayerTable) -> Ints:
    """Return the passes per activation digit of layers that read a wide image, shape (n,).

    0 where the image is not wider than the other tensors, the candidate does not choose to split
    it, or the digits of the first layer's weights reach beyond an activation digit
    (NpuConfig.wide_input_passes).
    """
    digits = space.integers(candidates, "weight_digit_bits")
    wide = layers.in_bits > layers.inner_bits[:, None]
    bits = np.where(wide, np.maximum(layers.weight_bits, 2), 0).max(axis=1)
    passes = -(-bits // digits)
    chosen = space.words(candidates, "wide_inputs", (False, True), False) == 1
    chosen &= digits * (passes - 1) <= layers.inner_bits
    return np.where(chosen & (passes <= max(WIDE_INPUT_PASSES)), passes, 0)


def _binary(
    space: Genome, candidates: Ints, layers: LayerTable, multiplier: Ints, sparsity: Ints
) -> Ints:
    """Return 1 where the array computes 1-bit weights in one pass, else 0, shape (n,).

    It does if the network has a layer of dense 1-bit weights and the array allows it
    (BINARY_NEEDS). multiplier, sparsity: forms and patterns of the arrays as indices into
    MULTIPLIERS and SPARSITIES, shape (n,).
    """
    ones = (layers.weight_bits == 1) & (layers.diagonal == 0) & (layers.group == 0)
    able = space.integers(candidates, "weight_digit_bits") == BINARY_NEEDS["weight_digit_bits"]
    able &= multiplier == MULTIPLIERS.index(str(BINARY_NEEDS["multiplier"]))
    return (able & (sparsity == 0) & ones.any(axis=1)).astype(np.int64)


def _depthwise_taps(space: Genome, candidates: Ints, multiplier: Ints, sparsity: Ints) -> Ints:
    """Return the kernel columns that depthwise layers compute at once, shape (n,).

    1 where the array does not allow the chosen number: with N:M sparsity, few lanes, or products
    that share DSP slices. multiplier, sparsity: as for ``_binary``.
    """
    if "depthwise_taps" not in space.index:
        return np.ones(len(candidates), dtype=np.int64)
    able = (sparsity == 0) & (space.integers(candidates, "lanes") >= LEAST_REUSE_LANES)
    able &= multiplier <= MULTIPLIERS.index("dsp")
    return np.where(able, space.integers(candidates, "depthwise_taps"), 1)


def _multipliers(
    space: Genome, candidates: Ints, activation_bits: Ints, dense: NDArray[np.bool_]
) -> Ints:
    """Return the multiplier forms as indices into MULTIPLIERS, shape (n,).

    Where array shape, sparsity or bit widths do not allow the chosen form, the next one with fewer
    products per DSP slice is taken. activation_bits: of the arrays, shape (n,). dense: True where
    the array has no N:M sparsity, shape (n,).
    """
    choices = [MULTIPLIERS.index(str(word)) for word in space.choices["multiplier"]]
    form = np.array(choices)[candidates[:, space.index["multiplier"]]]
    pixels, lanes = space.integers(candidates, "pixels"), space.integers(candidates, "lanes")
    digits = space.integers(candidates, "weight_digit_bits")
    for name, packed_pixels in reversed(PACKED_PIXELS.items()):
        here = MULTIPLIERS.index(name)
        fits = dense & (lanes % COLUMNS == 0) & (pixels % packed_pixels == 0)
        fits &= _packs(packed_pixels)[activation_bits, digits]
        form = np.where((form == here) & ~fits, here - 1, form)
    return form


@functools.cache
def _packs(pixels: int) -> NDArray[np.bool_]:
    """Return True where the products of ``pixels`` pixel lanes can share a DSP slice.

    bool of shape (MAX_BITS + 1, MAX_BITS + 1), by activation bits and weight digit bits.
    """
    found = np.zeros((MAX_BITS + 1, MAX_BITS + 1), dtype=np.bool_)
    for bits in range(1, MAX_BITS + 1):
        for digit in DIGIT_BITS:
            found[bits, digit] = packing(bits, digit, pixels) is not None
    return found


def _moved(multiplier: Ints, activation_bits: Ints, digits: Ints) -> NDArray[np.bool_]:
    """Return True where the array subtracts a number from codes, shape (n,)."""
    found = np.zeros(len(multiplier), dtype=np.bool_)
    for name, pixels in PACKED_PIXELS.items():
        here = multiplier == MULTIPLIERS.index(name)
        found |= here & _moves(pixels)[activation_bits, digits]
    return found


@functools.cache
def _moves(pixels: int) -> NDArray[np.bool_]:
    """Return True where ``packing`` has an activation_offset, of the shape of ``_packs``."""
    found = np.zeros_like(_packs(pixels))
    for bits, digit in np.argwhere(_packs(pixels)).tolist():
        form = packing(bits, digit, pixels)
        found[bits, digit] = form is not None and form.activation_offset > 0
    return found


def to_design(
    space: Genome, candidate: Ints, npu: NpuConfig, *, name: str, seed: int,
    dataset: DatasetSpec, clock_mhz: float,
) -> Design:  # fmt: skip
    """Return one candidate, shape (genes,), as a design.

    ``npu`` gives all NPU parameters except the depths, which are the smallest that the compiler
    needs: powers of two, but a stack of block RAMs may hold the weights if that is so in ``npu``
    (is_stacked). clock_mhz: the design's clock in MHz. Raises InfeasibleError when no depth is
    enough or the NPU cannot run the network for another reason.
    """
    graph, quantisation = space.network(candidate)
    integer = shape_only(graph, quantisation, npu.scale_bits)
    depths = minimal_depths(integer, npu, is_stacked(npu.weight_depth))
    sized = dataclasses.replace(npu, **depths)  # type: ignore[arg-type]
    return Design(name, seed, dataset, graph, quantisation, sized, clock_mhz)
