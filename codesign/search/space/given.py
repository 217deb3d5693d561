"""NetworkSpace: the quantisations of a network that exists, and its NPUs, encoded as genes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.results import UserError
from codesign.search.space.choices import ACCUMULATOR, DENSE
from codesign.search.space.declaration import BitChoices, NpuChoices
from codesign.search.space.genome import Genome, Ints, bits_label
from codesign.search.space.parameters import Choice, Parameter
from models.graph.channels import Channel, channel_map, without
from models.graph.layers import Concat, Input
from models.graph.network import NetworkGraph
from models.graph.passes import legalise, scale_source
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork, MacLayer
from models.quantisation.plan import (
    ACTIVATION_BITS,
    SPARSITY,
    WEIGHT_BITS,
    Quantisation,
    QuantSpec,
    can_be_sparse,
    knobs,
    plan_tensors,
)
from models.quantisation.sparsity import Sparsity
from rtl_gen.parameters import SPARSITIES

INPUT_BITS, WEIGHTS_SHA256, CHANNELS = "input_bits", "weights_sha256", "channels"
SHARES = (0.5, 0.625, 0.75, 0.875, 1.0)
"""Shares of its channels that a group may keep."""
BITS = BitChoices(
    input=(4, 6, 8),
    weights=(2, 3, 4, 5, 6, 8),
    activations=(3, 4, 5, 6, 7, 8),
    sparsity=(DENSE, "2:4"),
)
"""Choices of bits where a space file names none: those that calibration alone may hold."""


@dataclass(frozen=True, eq=False)
class NetworkSpace(Genome):
    """Quantisations of one network graph, what may be cut of it, and NPUs for it.

    Genes are the channels of each group that may be cut, the bits of the image, the bits of the
    weights of each convolution and linear layer, the bits of each tensor that has a scale of its
    own (concat inputs share one), one N:M pattern for all layers that can have one and do not read
    the image, those of them that stay dense all the same, and the NPU.

    >>> from codesign.search.space.declaration import load_declaration
    >>> from models.graph.layers import Linear
    >>> from models.graph.network import sequential
    >>> graph = sequential("tiny", (1, 8, 8), Linear(16, relu=True), Linear(10))
    >>> space = NetworkSpace(graph, "sha", load_declaration("digits").npu)
    >>> [one.name for one in space.parameters][:4]
    ['input_bits', 'weight_bits.linear1', 'activation_bits.linear1', 'weight_bits.linear2']
    """

    graph: NetworkGraph
    weights_sha256: str
    """Hash of the weights, which tells searches of different networks apart."""
    npu_choices: NpuChoices
    bits: BitChoices = BITS
    zero_point: int = 0
    """Code of the image that is the value 0. Unless it is 0, images have 8 bits, as it would
    be another value of fewer."""
    order: Mapping[str, Sequence[Channel]] = field(default_factory=dict)
    """The channels that may be cut of each group of the graph's ``channel_map``, in that order;
    empty: none."""

    def __post_init__(self) -> None:
        if self.bits.by_stage:
            raise UserError(
                "bits.sparsity: a network that is given has no stages; list patterns for all layers"
            )
        if self.npu.accumulator_bits != NpuChoices.accumulator_bits:
            raise UserError(
                f"npu.{ACCUMULATOR}: a network that is given is calibrated, and only training "
                "keeps to few bits; leave the key out"
            )

    @property
    def npu(self) -> NpuChoices:
        """Choices of the NPU."""
        return self.npu_choices

    @property
    def max_macs(self) -> None:
        """Nothing: the network is as large as it is."""
        return

    @property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Channels, rows, columns of the images."""
        return self.graph.shapes[self.graph.input.name]

    @property
    def classes(self) -> int:  # type: ignore[override]
        """Values that the network ends with."""
        return int(np.prod(self.graph.shapes[self.graph.output.name]))

    @property
    def identity(self) -> tuple[str, ...]:
        """The network that the genes are of."""
        return (self.weights_sha256,)

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters in the order of the genes, those of layers in the order of the graph."""
        input_bits = (Quantisation().input_bits,) if self.zero_point else self.bits.input
        found = [Parameter(f"{CHANNELS}.{name}", kept) for name, kept in self._kept.items()]
        found.append(Parameter(INPUT_BITS, input_bits))
        listed = {WEIGHT_BITS: self.bits.weights, ACTIVATION_BITS: self.bits.activations}
        for name, fields in self._knobs.items():
            found += [Parameter(f"{one}.{name}", listed[one]) for one in fields if one in listed]
        if self.sparse and self.bits.sparsity != (DENSE,):
            patterns = sorted(self.bits.patterns(0), key=lambda pattern: pattern != DENSE)
            found.append(Parameter(SPARSITY, tuple(patterns)))
            needs = ((SPARSITY, int(DENSE in patterns)),)
            names = (name for name in self._knobs if name in self.sparse)
            found += [Parameter(f"{DENSE}.{name}", (False, True), needs) for name in names]
        found += self.npu.parameters()
        return tuple(found)

    @functools.cached_property
    def _knobs(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the QuantSpec fields that have an effect, by layer (plan.knobs)."""
        return knobs(self.graph)

    @functools.cached_property
    def sparse(self) -> frozenset[str]:
        """Layers that the N:M pattern is for: not those that read the image.

        That has few channels, and what is dropped of it is lost.
        """
        image = self.graph.input.name
        return frozenset(
            layer.name
            for layer in self.graph.layers
            if can_be_sparse(layer.spec) and image not in layer.inputs
        )

    @functools.cached_property
    def _kept(self) -> dict[str, tuple[int, ...]]:
        """The numbers of channels that a group may keep, ascending, by its name."""
        found = {}
        for name, order in self.order.items():
            size = len(channel_map(self.graph).groups[name])
            counts = {max(round(size * share), size - len(order)) for share in SHARES}
            if len(counts) > 1:
                found[name] = tuple(sorted(counts))
        return found

    def declared(self) -> dict[str, Any]:
        """Return the network's hash and what is chosen from as JSON values."""
        choices = {"bits": dataclasses.asdict(self.bits), "npu": self.npu.declared()}
        return {WEIGHTS_SHA256: self.weights_sha256, CHANNELS: self._kept, **choices}

    # Decoding --------------------------------------------------------------------------------

    def network(self, candidate: Ints) -> tuple[NetworkGraph, Quantisation]:
        """Return the graph and the quantisation of one candidate, shape (genes,)."""
        params, graph = self.params(candidate), self.graph
        pattern = tuple(SPARSITIES)[int(self.patterns(candidate[None])[0])]
        sparsity = None if pattern == DENSE else Sparsity.parse(pattern)
        specs = {}
        for name, fields in self._knobs.items():
            given = {one: params[f"{one}.{name}"] for one in fields if f"{one}.{name}" in params}
            spec = dataclasses.replace(QuantSpec(), **given)  # type: ignore[arg-type]
            if name in self.sparse and not params.get(f"{DENSE}.{name}"):
                spec = dataclasses.replace(spec, sparsity=sparsity)
            specs[name] = spec
        bits = int(params[INPUT_BITS])
        found = Quantisation(bits, layers=specs, input_zero_point=self.zero_point)
        if lost := self.lost(candidate):
            graph = without(graph, self.gone(lost))
        return graph, found

    def lost(self, candidate: Ints) -> dict[str, int]:
        """Return how many channels each group lacks that lacks some, by its name."""
        params = self.params(candidate)
        counts = {n: kept[-1] - int(params[f"{CHANNELS}.{n}"]) for n, kept in self._kept.items()}
        return {name: count for name, count in counts.items() if count}

    def gone(self, lost: Mapping[str, int]) -> frozenset[Channel]:
        """Return the channels that a network lacks; lost: how many of each group."""
        return frozenset(one for name, count in lost.items() for one in self.order[name][:count])

    def layers(self, candidates: Ints, threads: int | None = None) -> LayerTable:
        """Return the MAC layers of candidates of shape (n, genes): one table row with changes.

        threads: not used, as only columns of bits and channels are written.
        """
        base, network = self._base
        table = base.take(np.zeros(len(candidates), np.int64))
        kept, group = np.array(list(SPARSITIES.values()))[self.patterns(candidates)].T
        for slot, layer in enumerate(network.mac_layers):
            if f"{WEIGHT_BITS}.{layer.name}" in self.index:
                bits = self.integers(candidates, f"{WEIGHT_BITS}.{layer.name}")
                table.weight_bits[:, slot] = bits
            read = [self._tensor_bits(candidates, source.tensor) for source in layer.sources]
            table.in_bits[:, slot] = np.max(read, axis=0)
            if not layer.raw:
                table.out_bits[:, slot] = self._tensor_bits(candidates, layer.output)
            if layer.name in self.sparse:
                dense = self.words(candidates, f"{DENSE}.{layer.name}", (False, True), False) == 1
                pattern = np.where((group > 1) & ~dense, [kept, group], 0)
                table.kept[:, slot], table.group[:, slot] = pattern
            for tensor, column in (
                (layer.sources[0].tensor, table.in_channels), (layer.output, table.out_channels)
            ):  # fmt: skip
                for name, fewer in self._fewer.get(tensor, {}).items():
                    column[:, slot] -= fewer[candidates[:, self.index[name]]]
        return table

    @functools.cached_property
    def groups(self) -> dict[str, dict[str, list[int]]]:
        """By parameter of channels and tensor: how many the tensor has, by number of the choice."""
        shapes = legalise(self.graph).shapes
        found: dict[str, dict[str, list[int]]] = {}
        for tensor, lacks in self._fewer.items():
            for name, fewer in lacks.items():
                found.setdefault(name, {})[tensor] = (shapes[tensor][0] - fewer).tolist()
        return found

    @functools.cached_property
    def _fewer(self) -> dict[str, dict[str, Ints]]:
        """By tensor and parameter: the channels that the tensor lacks, by number of the choice."""
        found: dict[str, dict[str, Ints]] = {}
        for tensor, own in channel_map(legalise(self.graph)).tensors.items():
            for name, kept in self._kept.items():
                gone = [self.gone({name: kept[-1] - count}) for count in kept]
                fewer = np.array([sum(one in lost for one in own) for lost in gone], np.int64)
                if fewer.any():
                    found.setdefault(tensor, {})[f"{CHANNELS}.{name}"] = fewer
        return found

    @functools.cached_property
    def _base(self) -> tuple[LayerTable, IntegerNetwork]:
        network = shape_only(self.graph, Quantisation(), scale_bits=8)
        return LayerTable.of([network]), network

    @property
    def mac_layers(self) -> Sequence[MacLayer]:
        """Layers of the lowered network: the slots of the tables that ``layers`` returns."""
        return self._base[1].mac_layers

    @functools.cached_property
    def owners(self) -> Mapping[str, str]:
        """Layer whose output sets the scale of a tensor, by the tensor's name."""
        plans = plan_tensors(legalise(self.graph), Quantisation())
        return {name: plan.scale_owner for name, plan in plans.items()}

    def sharing(self, owner: str) -> tuple[str, ...]:
        """Return the layers that quantise their results with the scale of ``owner``.

        Those of max pooling and concats are codes of others already.
        """
        legal = legalise(self.graph)
        return tuple(
            name
            for name, other in self.owners.items()
            if other == owner
            and scale_source(legal, name) == name
            and not isinstance(legal[name].spec, Concat | Input)
        )

    def _tensor_bits(self, candidates: Ints, tensor: str) -> Ints:
        owner = self.owners[tensor]
        name = INPUT_BITS if owner == self.graph.input.name else f"{ACTIVATION_BITS}.{owner}"
        if name in self.index:
            return self.integers(candidates, name)
        return np.full(len(candidates), QuantSpec().activation_bits, np.int64)

    def label(self, params: Mapping[str, Choice]) -> str:
        """Return the network's name and the range of its bits, such as ``resnet8 w2-6 a4``.

        Behind it come the N:M pattern, and the share of channels that groups keep if any is cut.
        """
        words = [self.graph.name, bits_label(params)]
        pattern = str(params.get(SPARSITY, DENSE))
        if pattern != DENSE and not all(params[f"{DENSE}.{name}"] for name in self.sparse):
            words.append(pattern)
        shares = [int(params[f"{CHANNELS}.{n}"]) / kept[-1] for n, kept in self._kept.items()]
        if shares and min(shares) < 1:
            low, high = (round(100 * share) for share in (min(shares), max(shares)))
            words.append(f"c{low}-{high}%" if low < high else f"c{low}%")
        return " ".join(words)
