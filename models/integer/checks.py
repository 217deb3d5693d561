"""Checks of an integer network from a file, before anything is computed with it."""

from __future__ import annotations

import math

import numpy as np

from models.arithmetic import MAX_SHIFT, MOST, weight_range
from models.errors import ModelError
from models.files.reading import printable, quoted
from models.graph.verifier import MOST_ELEMENTS, MOST_SIDE
from models.integer.network import ConcatLayer, IntegerNetwork, Ints, MacLayer, TensorSpec, extent

MAX_BITS = 16
"""Most bits of an activation."""
MOST_SUM = 1 << 46
"""Largest accumulator whose product with a requantisation multiplier of 16 bits fits 64 bits."""
Shape = tuple[int, int, int]


def check(network: IntegerNetwork) -> None:
    """Raise ModelError unless names, shapes and ranges of a network fit each other.

    Not compared are scales and zero points of a concat's tensors, pad codes, and sparsity patterns.
    """
    if not network.layers or not isinstance(network.layers[-1], MacLayer):
        raise ModelError("the last layer must compute the logits")
    output = network.layers[-1].output
    for spec in network.tensors.values():
        _check_tensor(spec, 32 if spec.name == output else MAX_BITS)
        steps = np.atleast_1d(spec.scale)
        whole = spec.name != output or len(steps) not in (1, spec.shape[0])
        if not ((steps > 0) & (steps < 1e30)).all() or (whole and np.ndim(spec.scale)):
            raise ModelError(f"tensor {printable(spec.name)}: scale {quoted(spec.scale)}")
    known = {network.input}
    for layer in network.layers:
        where = f"layer {printable(layer.name)}"
        inputs = _inputs(layer)
        absent = [name for name in (*inputs, layer.output) if name not in network.tensors]
        early = [name for name in inputs if name not in known]
        if absent or early or not inputs or layer.output in known:
            raise ModelError(f"{where}: tensor {quoted((absent or early or [layer.output])[0])}")
        specs = [network.tensors[name] for name in inputs]
        if isinstance(layer, ConcatLayer):
            _check_concat(specs, network.tensors[layer.output], where)
        else:
            _check_mac(network, layer, where)
        known.add(layer.output)
    raw = [layer.name for layer in network.mac_layers if layer.raw]
    if raw != [network.layers[-1].name] or network.layers[-1].pool:
        raise ModelError("the last layer, and no other, must give its sums, without max pooling")
    if network.order is not None:
        count = (network.order.size if network.order.ndim == 1 else 0,)
        last = math.prod(network.output.shape) - 1
        _check_ints(network.order, count, last, "the outputs' order", low=0)
    if network.parts:
        _check_parts(network)
    if network.offset and len(network.offset) != network.output.shape[0]:
        raise ModelError(
            f"the outputs' offset has {len(network.offset)} values, for {network.output.shape[0]} "
            "channels"
        )


def _check_parts(network: IntegerNetwork) -> None:
    """Raise ModelError unless the parts are the network's outputs, by different names."""
    names = [part.name for part in network.parts]
    sides = [side for part in network.parts for side in part.shape]
    if len(set(names)) < len(names) or not all(0 < side <= MOST_ELEMENTS for side in sides):
        raise ModelError(f"the outputs {quoted(names)}: different names, and shapes, are needed")
    count = sum(part.size for part in network.parts)
    if count != network.classes:
        raise ModelError(f"the outputs {quoted(names)} have {count} values, not {network.classes}")


def _inputs(layer: MacLayer | ConcatLayer) -> tuple[str, ...]:
    if isinstance(layer, ConcatLayer):
        return layer.inputs
    return tuple(source.tensor for source in layer.sources)


def _check_tensor(spec: TensorSpec, most_bits: int) -> None:
    where, shape = f"tensor {printable(spec.name)}", spec.shape
    if not all(1 <= side <= MOST_SIDE for side in shape) or math.prod(shape) > MOST_ELEMENTS:
        raise ModelError(f"{where}: shape {shape}")
    if not 1 <= spec.bits <= most_bits:
        raise ModelError(f"{where}: {spec.bits} bits")
    if not 0 <= spec.zero_point < 1 << spec.bits:
        raise ModelError(f"{where}: zero point {spec.zero_point}")


def _check_concat(specs: list[TensorSpec], out: TensorSpec, where: str) -> None:
    """Raise ModelError unless tensors laid side by side give ``out``."""
    forms = {(*spec.shape[1:], spec.bits) for spec in (*specs, out)}
    if len(forms) != 1 or sum(spec.shape[0] for spec in specs) != out.shape[0]:
        raise ModelError(f"{where}: concatenated tensors differ in size or bits")


def _check_mac(network: IntegerNetwork, layer: MacLayer, where: str) -> None:
    """Raise ModelError unless the numbers of a layer fit each other and its tensors."""
    out_shape = network.tensors[layer.output].shape
    out = out_shape[0]
    multipliers = (1 << network.scale_bits) - 1
    _check_ints(layer.bias, (out,), 1 << 40, f"{where}: bias")
    _check_ints(layer.requant_multiplier, (out,), multipliers, f"{where}: multiplier", low=0)
    low = 0 if layer.raw else 1
    _check_ints(layer.requant_shift, (out,), MAX_SHIFT, f"{where}: shift", low=low)
    steps = (*layer.stride, *layer.dilation)
    if min(steps) < 1 or min(layer.padding) < 0 or max(*steps, *layer.padding) > MOST_SIDE:
        raise ModelError(
            f"{where}: stride {layer.stride}, dilation {layer.dilation}, padding {layer.padding}"
        )
    if layer.pool and min(*layer.pool.kernel, *layer.pool.stride) < 1:
        raise ModelError(f"{where}: pooling {layer.pool.kernel}, {layer.pool.stride}")
    if layer.lookup:
        codes, bits = layer.lookup.codes, layer.lookup.bits
        top = (1 << network.tensors[layer.output].bits) - 1
        _check_ints(codes, (1 << bits,), top, f"{where}: look-up table", low=0)
        if layer.raw or not 0 <= layer.lookup.zero_point < 1 << bits:
            raise ModelError(f"{where}: look-up of zero point {layer.lookup.zero_point}")
    if layer.thresholds is not None:
        steps_up = (1 << network.tensors[layer.output].bits) - 1
        _check_ints(layer.thresholds, (out, steps_up), MOST, f"{where}: thresholds")
        if layer.raw or layer.lookup or _fall(layer.thresholds):
            raise ModelError(f"{where}: thresholds fall, or are of a layer that has none")
    if len({network.tensors[source.tensor].shape for source in layer.sources}) != 1:
        raise ModelError(f"{where}: its sources have different shapes")
    for source in layer.sources:
        spec = network.tensors[source.tensor]
        if spec.shape[0] % layer.groups or out % layer.groups or source.weights.ndim != 4:
            raise ModelError(f"{where}: {layer.groups} groups, weights {source.weights.shape}")
        kernel = source.weights.shape[2:]
        wanted = (out, spec.shape[0] // layer.groups, *kernel)
        top = weight_range(layer.weight_bits)[1]
        _check_ints(source.weights, wanted, top, f"{where}: weights")
        largest = int(np.abs(source.weights).sum(axis=(1, 2, 3)).max())
        if largest << spec.bits > MOST_SUM:
            raise ModelError(f"{where}: sums beyond {MOST_SUM}")
        _check_windows(layer, spec.shape, out_shape, where)


def _fall(thresholds: Ints) -> bool:
    return bool((thresholds[:, 1:] < thresholds[:, :-1]).any())


def _check_windows(layer: MacLayer, in_shape: Shape, out_shape: Shape, where: str) -> None:
    """Raise ModelError unless the first and the last window of a layer reach into its input.

    Windows are those of an output position: of the max pooling, if there is one.
    """
    for axis, size in enumerate(in_shape[1:]):
        windows, step = (layer.pool.kernel[axis], layer.pool.stride[axis]) if layer.pool else (1, 1)
        first_end = (windows - 1) * layer.stride[axis] + extent(layer)[axis] - layer.padding[axis]
        last_start = (out_shape[1 + axis] - 1) * step * layer.stride[axis] - layer.padding[axis]
        if first_end < 1 or last_start >= size:
            raise ModelError(
                f"{where}: cannot give {out_shape} of an input of {in_shape}: "
                "windows would lie in the padding alone"
            )


def _check_ints(
    values: Ints, shape: tuple[int, ...], top: int, where: str, low: int | None = None
) -> None:
    if values.dtype != np.int64 or values.shape != shape or 0 in shape:
        raise ModelError(
            f"{where}: must be int64 of shape {shape}, not {values.dtype} of {values.shape}"
        )
    least = -top if low is None else low
    if values.min() < least or values.max() > top:
        raise ModelError(f"{where}: must be {least}..{top}")
