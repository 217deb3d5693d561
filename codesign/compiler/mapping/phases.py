"""Phases: weight words per tap on an array of N:M sparsity, and the place of each weight in them.

Such an array has multipliers (slots) for N (``config.kept``) of every M (``config.group``) lanes;
an index beside each weight digit chooses the slot's lane. A tap with more than N weights in a group
of lanes takes several weight words, phases, over the same activations. Their number follows from
the layer's sparsity pattern and its channels' lanes, before weights are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.shapes import LayerShape
from codesign.compiler.mapping.slots import SlotMap
from codesign.results import Infeasible
from models.integer.network import IntegerNetwork, Ints
from models.quantisation.sparsity import violation
from rtl_gen.config import NpuConfig


def phases(config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap]) -> int:
    """Return the number of weight words (phases) that a layer takes per tap of its kernel loop.

    They give a slot to every weight that the layer's sparsity pattern allows. One is enough for
    depthwise layers, where an output channel reads one lane, and for a layer of the NPU's own
    pattern or a sparser one, unless concatenated parts or layer groups whose channels are no
    multiple of M shift its groups against those of the lanes. A dense layer takes up to
    ``config.most_phases``. sources: places of the channels of each source.
    """
    if config.most_phases == 1:
        return 1
    most = max(_most_weights(config, shape, slots) for slots in sources)
    return -(-most // config.kept)


def _most_weights(config: NpuConfig, shape: LayerShape, slots: SlotMap) -> int:
    """Return the most weights that one output channel may have in a group of lanes at a tap.

    A group is ``config.group`` neighbouring lanes of one activation word. slots: places of the
    channels of one source.
    """
    layer = shape.layer
    kept, group = (layer.sparsity.kept, layer.sparsity.group) if layer.sparsity else (1, 1)
    per_group = shape.in_shape[0] // layer.groups
    channels = Counter(
        (c // per_group, slots.word(c), slots.lane(c) // config.group, c % per_group // group)
        for c in range(slots.channels)
    )
    weights: Counter[tuple[int, int, int]] = Counter()
    for (layer_group, word, lanes, _), count in channels.items():
        weights[layer_group, word, lanes] += min(count, kept)
    return max(weights.values())


def slot_weights(config: NpuConfig, taps: Ints, count: int) -> tuple[Ints, NDArray[np.uint8]]:
    """Return the weight of each multiplier slot, and the index that chooses its lane.

    taps: weights, int64 of shape (tiles, taps, columns, lanes). Results: weights (int64) and
    indices, both of shape (tiles, taps * count, columns, slots), the ``count`` phases of a tap side
    by side. Index i of a group's slot s chooses the group's lane s + i; empty slots have weight and
    index 0. In each phase the next ``kept`` nonzero weights of a group, in rising order of their
    lanes, take the first slots that may choose these lanes (rtl_gen.blocks.selection). On a dense
    NPU slots are lanes and indices 0. That ``count`` phases suffice is not checked
    (``sparsity_reasons``).
    """
    if config.most_phases == 1:
        return taps, np.zeros(taps.shape, np.uint8)
    tiles, of_pass, columns, _ = taps.shape
    weights = taps.reshape(tiles, of_pass, columns, -1, config.group)
    there = weights != 0
    rank = np.cumsum(there, axis=-1) - 1
    tile, tap, column, group, lane = np.nonzero(there)
    phase, place = np.divmod(rank[there], config.kept)
    slot = np.maximum(place, lane - (config.group - config.kept))
    shape = (tiles, of_pass, count, columns, weights.shape[3], config.kept)
    digits, indices = np.zeros(shape, np.int64), np.zeros(shape, np.uint8)
    where = (tile, tap, phase, column, group, slot)
    digits[where], indices[where] = weights[there], lane - slot
    merged = (tiles, of_pass * count, columns, config.slots)
    return digits.reshape(merged), indices.reshape(merged)


def sparsity_reasons(network: IntegerNetwork, config: NpuConfig) -> Iterator[Infeasible]:
    """Yield a reason for each layer whose weights break its N:M pattern, with the first violation.

    Its phases were counted from that pattern. Only the weights of its first source are looked at.
    On a dense NPU there are no reasons.
    """
    for layer in network.mac_layers:
        if config.most_phases == 1 or layer.sparsity is None:
            continue
        found = violation(layer.sources[0].weights, layer.sparsity)
        if found:
            out, row, col, group = found
            first, end = group * layer.sparsity.group, (group + 1) * layer.sparsity.group
            need = int(np.count_nonzero(layer.sources[0].weights[out, first:end, row, col]))
            where = f"{layer.name}, output channel {out}, kernel position ({row}, {col})"
            levers = (f"train the layer with sparsity {layer.sparsity}", "take its sparsity away")
            yield Infeasible(
                "sparsity", f"{where}, input channels {first}..{end - 1}", need,
                layer.sparsity.kept, "weights that are not 0", levers,
            )  # fmt: skip
