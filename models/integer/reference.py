"""Integer reference: the exact computation of the hardware, in numpy.

Where sums are provably exact in floating point (below 2**24 in float32, 2**53 in float64), products
are summed in it, by BLAS except in depthwise layers; else in int64.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import arithmetic
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    Ints,
    MacLayer,
    PoolWindow,
    TensorSpec,
    convolved,
    extent,
    requantised,
)
from models.threads import one_thread

_COLUMN_ELEMENTS = 1 << 23
"""Largest im2col matrix, in elements, unless one image needs more; images are split in parts."""


def quantise_input(network: IntegerNetwork, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert pixels 0..255 to input codes: ``round(pixel * (2**bits - 1) / 255)``, half up.

    images: any shape, which the codes (uint8) have, too. The input has up to 8 bits (not checked).
    """
    top = (1 << network.tensors[network.input].bits) - 1
    codes = (images.astype(np.int64) * (2 * top) + 255) // 510
    return codes.astype(np.uint8)


def run(network: IntegerNetwork, codes: NDArray[np.uint8]) -> dict[str, Ints]:
    """Compute every tensor of the network for input codes (n, C, H, W).

    Returns int64 arrays by tensor name (the input included): codes (n, C, H, W), and for the output
    tensor the accumulators (n, classes), of a map in the order of channels, rows and columns, or in
    the network's own.
    Raises ValueError for codes of another shape or beyond the input's bits.
    """
    spec = network.tensors[network.input]
    if codes.ndim != 4 or codes.shape[1:] != spec.shape:
        raise ValueError(f"input codes must be [n, {spec.shape}], not {codes.shape}")
    if codes.size and codes.max() >= 1 << spec.bits:
        raise ValueError(f"input codes must be below {1 << spec.bits}, not {codes.max()}")
    values: dict[str, Ints] = {network.input: codes.astype(np.int64)}
    with one_thread():  # a product of an image's layer is small
        for layer in network.layers:
            if isinstance(layer, ConcatLayer):
                parts = [values[name] for name in layer.inputs]
                values[layer.output] = np.concatenate(parts, axis=1)
            else:
                values[layer.output] = _mac_layer(layer, network.tensors, values)
    output = network.layers[-1].output
    values[output] = network.outputs(values[output])
    return values


def predict(
    network: IntegerNetwork, images: NDArray[np.uint8], batch: int = 256
) -> NDArray[np.int64]:
    """Return logits int64 (n, classes) of images uint8 (n, C, H, W), ``batch`` images at a time."""
    output = network.layers[-1].output
    parts = [
        run(network, quantise_input(network, images[start : start + batch]))[output]
        for start in range(0, len(images), batch)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, network.classes), np.int64)


def accuracy(
    network: IntegerNetwork, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> float:
    """Return the fraction of images whose largest logit (the first of equals) is the label's.

    images: uint8 (n, C, H, W); labels: (n,). NaN if there are no images.
    """
    return float((network.answers(predict(network, images)) == labels).mean())


def _mac_layer(
    layer: MacLayer, tensors: Mapping[str, TensorSpec], values: Mapping[str, Ints]
) -> Ints:
    acc, out = layer.bias[:, None, None], tensors[layer.output]
    for source in layer.sources:
        tensor = tensors[source.tensor]
        codes = _read(layer, out.shape, values[source.tensor]) - tensor.zero_point
        acc = acc + convolve(
            codes, source.weights, layer.stride, layer.groups, 1 << tensor.bits, layer.dilation
        )
    if layer.raw:
        return acc
    codes = _codes(layer, acc, out)
    if layer.lookup:
        codes = layer.lookup.codes[codes]
    return _max_pool(codes, layer.pool) if layer.pool else codes


def _codes(layer: MacLayer, acc: Ints, out: TensorSpec) -> Ints:
    """Return the codes that accumulators (n, C, H, W) round to, or reach the thresholds of."""
    if layer.thresholds is not None:
        codes = np.zeros(acc.shape, np.int64)
        for column in layer.thresholds.T:
            codes += acc >= column[:, None, None]
        return codes
    multiplier, shift = layer.requant_multiplier[:, None, None], layer.requant_shift[:, None, None]
    return arithmetic.requantise(acc, multiplier, shift, *requantised(layer, out))


def _read(layer: MacLayer, out_shape: tuple[int, int, int], codes: Ints) -> Ints:
    """Return the codes (n, C, H, W) that a layer's windows read, with padding or cut to them."""
    margins, ends = [(0, 0), (0, 0)], []
    for axis, count in enumerate(convolved(layer, out_shape)):
        reach = (count - 1) * layer.stride[axis] + extent(layer)[axis]
        before, size = layer.padding[axis], codes.shape[2 + axis]
        margins.append((before, max(0, reach - before - size)))
        ends.append(reach)
    if np.any(margins):
        codes = np.pad(codes, margins, constant_values=layer.pad_code)
    return codes[:, :, : ends[0], : ends[1]]


def convolve(
    values: Ints,
    weights: Ints,
    stride: tuple[int, int],
    groups: int,
    magnitude: int,
    dilation: tuple[int, int] = (1, 1),
) -> Ints:
    """Compute an exact grouped convolution of padded integers.

    values: (n, C, H, W), padding included, none larger than ``magnitude`` in absolute value (not
    checked); weights: (out, C/groups, rows, cols); stride, dilation: (rows, columns). Returns int64
    (n, out, Ho, Wo).
    """
    bound = magnitude * int(np.abs(weights).sum(axis=(1, 2, 3)).max(initial=0))
    kind = np.float32 if bound < 1 << 24 else np.float64 if bound < 1 << 53 else np.int64
    x, w = values.astype(kind), weights.astype(kind)
    if weights.shape[1] == 1 and groups > 1:
        return _depthwise(x, w, stride, dilation).astype(np.int64)
    n = len(x)
    out, taps = len(w), w[0].size
    rows, cols, spans = _output_map(x, w, stride, dilation)
    result = np.empty((n, out, rows, cols), np.int64)
    matrices = w.reshape(groups, out // groups, taps)
    step = max(1, _COLUMN_ELEMENTS // (groups * taps * rows * cols))
    for part in range(0, n, step):
        windows = np.lib.stride_tricks.sliding_window_view(
            x[part : part + step], spans, axis=(2, 3)
        )[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
        columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(-1, groups, taps, rows * cols)
        result[part : part + step] = (matrices @ columns).reshape(-1, out, rows, cols)
    return result


def _output_map(
    x: NDArray[Any], w: NDArray[Any], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, tuple[int, int]]:
    """Return rows and columns of the output, and the (rows, columns) that the kernel spans."""
    high, wide = ((w.shape[2 + i] - 1) * dilation[i] + 1 for i in (0, 1))
    rows, cols = (x.shape[2] - high) // stride[0] + 1, (x.shape[3] - wide) // stride[1] + 1
    return rows, cols, (high, wide)


def _depthwise(
    x: NDArray[Any], w: NDArray[Any], stride: tuple[int, int], dilation: tuple[int, int]
) -> NDArray[Any]:
    """Convolve one input channel per output channel, where a matrix product is mostly overhead.

    x: padded (n, C, H, W); w: (out, 1, rows, cols), out a multiple of C: output o reads input
    channel o // (out / C). Returns (n, out, Ho, Wo) of x's dtype.
    """
    rows, cols, _ = _output_map(x, w, stride, dilation)
    spread = np.repeat(x, len(w) // x.shape[1], axis=1)
    total = np.zeros((len(x), len(w), rows, cols), x.dtype)
    for ky, kx, view in _taps(spread, w.shape[2:], stride, dilation, rows, cols):
        total += view * w[:, 0, ky, kx, None, None]
    return total


def _taps(
    x: NDArray[Any],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    rows: int,
    cols: int,
) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Yield kernel row, kernel column, and the values that meet it at every output position.

    x: padded (n, C, H, W); rows, cols: size of the output. The values are views (n, C, rows, cols).
    """
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            row, col = ky * dilation[0], kx * dilation[1]
            last_row, last_col = row + (rows - 1) * stride[0], col + (cols - 1) * stride[1]
            yield ky, kx, x[:, :, row : last_row + 1 : stride[0], col : last_col + 1 : stride[1]]


def _max_pool(codes: Ints, pool: PoolWindow) -> Ints:
    rows = (codes.shape[2] - pool.kernel[0]) // pool.stride[0] + 1
    cols = (codes.shape[3] - pool.kernel[1]) // pool.stride[1] + 1
    views = [view for _, _, view in _taps(codes, pool.kernel, pool.stride, (1, 1), rows, cols)]
    return np.maximum.reduce(views)
