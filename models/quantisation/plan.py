"""Quantisation: bits per layer, and the plan of every tensor's bits, sign and scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from networkx.utils import UnionFind

from models import arithmetic
from models.errors import ModelError
from models.files.nodes import nearest
from models.graph.layers import Activation, Concat, Conv2d, Input, LayerSpec, Linear
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import PART, is_signed, legalise, scale_source, split_sums
from models.quantisation.sparsity import Sparsity

MAX_BITS = 8
ADD_WEIGHT_BITS = 8
"""Weight bits of a residual add, which give the ratio of its inputs' scales to within 1/254."""
ONES_WEIGHT_BITS = 2
"""Weight bits of pooling, copies and ReLUs of their own, whose weights are all 1."""
NO_SPARSITY = "sparsity is for linear layers and conv2d of groups: 1, not for depthwise and grouped"
"""Error message for a sparsity on a layer that cannot have one."""


def _bits(what: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= MAX_BITS:
        raise ModelError(f"{what} must be 1..{MAX_BITS}, not {value!r}")


@dataclass(frozen=True)
class QuantSpec:
    """Quantisation of one layer: bits and sparsity of its weights, bits of its output activations.

    Raises ModelError for bits outside 1..8.

    >>> QuantSpec(weight_bits=2, sparsity=Sparsity(2, 4))
    QuantSpec(weight_bits=2, activation_bits=4, sparsity=Sparsity(kept=2, group=4))
    """

    weight_bits: int = 4
    activation_bits: int = 4
    sparsity: Sparsity | None = None
    """N:M pattern of the weights; None for dense weights."""

    def __post_init__(self) -> None:
        _bits("weight_bits", self.weight_bits)
        _bits("activation_bits", self.activation_bits)


@dataclass(frozen=True)
class Quantisation:
    """Quantisation of a whole network; layers not named in ``layers`` use ``default``.

    Partial sums (``passes.split_sums``) that are not named have the bits of their sum.
    Raises ModelError for ``input_bits`` outside 1..8 and an ``input_zero_point`` that is no code of
    the input; ``check`` compares it with a graph.

    >>> quantisation = Quantisation(input_bits=4, layers={"conv1": QuantSpec(8, 8)})
    >>> quantisation.spec("conv1").weight_bits, quantisation.spec("conv2").weight_bits
    (8, 4)
    """

    input_bits: int = 8
    default: QuantSpec = QuantSpec()
    layers: Mapping[str, QuantSpec] = field(default_factory=dict)
    input_zero_point: int = 0
    """Code of the input that is the real value 0, which convolutions pad with."""
    learned_thresholds: bool = False
    """True: activations of few bits are cut by learned thresholds of each channel, where they can
    be (``threshold_layers``); their codes stay evenly spaced."""

    def __post_init__(self) -> None:
        _bits("input_bits", self.input_bits)
        top = (1 << self.input_bits) - 1
        if not 0 <= self.input_zero_point <= top:
            raise ModelError(f"input_zero_point must be 0..{top}, not {self.input_zero_point!r}")
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def __hash__(self) -> int:
        layers = frozenset(self.layers.items())
        others = self.input_zero_point, self.learned_thresholds
        return hash((self.input_bits, self.default, layers, *others))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with a plain dict for worker processes: a read-only mapping does not pickle."""
        layers = dict(self.layers)
        others = self.input_zero_point, self.learned_thresholds
        return Quantisation, (self.input_bits, self.default, layers, *others)

    def spec(self, name: str) -> QuantSpec:
        whole = self.layers.get(name.partition(PART)[0], self.default)
        return self.layers.get(name, whole)

    def sparsity(self, layer: Layer) -> Sparsity | None:
        """Return the N:M pattern of a layer's weights; None if dense or unable to have one."""
        return self.spec(layer.name).sparsity if can_be_sparse(layer.spec) else None


WEIGHT_BITS, ACTIVATION_BITS, SPARSITY = "weight_bits", "activation_bits", "sparsity"


def knobs(graph: NetworkGraph) -> dict[str, tuple[str, ...]]:
    """Return the names of the QuantSpec fields that have an effect, by layer name, in layer order.

    Layers without any such field are left out. Layers without weights have no weight_bits. The
    output layer and layers that only pass codes on (max pooling, a fused ReLU) have no
    activation_bits; a concat's activation_bits apply to all its inputs, which have none, and those
    of the first of layers whose scale activations share to the others. Only layers that
    ``can_be_sparse`` accepts have a sparsity. Raises ModelError when the graph is not sound.
    """
    legal = legalise(graph)
    concat_of, owners = _concat_members(legal), _scale_owners(legal)
    found: dict[str, tuple[str, ...]] = {}
    for layer in legal.layers:
        fields = []
        if isinstance(layer.spec, Conv2d | Linear):
            fields.append(WEIGHT_BITS)
        own_scale = owners[layer.name] == layer.name and layer.name not in concat_of
        if own_scale and not isinstance(layer.spec, Input) and layer.name != legal.output.name:
            fields.append(ACTIVATION_BITS)
        if can_be_sparse(layer.spec):
            fields.append(SPARSITY)
        if fields:
            found[layer.name] = tuple(fields)
    return found


def bit_notes(graph: NetworkGraph, quantisation: Quantisation) -> dict[str, str]:
    """Return texts such as ``w4 a4 2:4``, by layer name: weight bits, activation bits, sparsity.

    The input has its bits only (``a8``); layers without bits of their own are left out.
    """
    texts = {graph.input.name: f"a{quantisation.input_bits}"}
    for name, fields in knobs(graph).items():
        spec = quantisation.spec(name)
        words = {
            WEIGHT_BITS: f"w{spec.weight_bits}",
            ACTIVATION_BITS: f"a{spec.activation_bits}",
            SPARSITY: str(spec.sparsity or ""),
        }
        texts[name] = " ".join(words[field] for field in fields).rstrip()
    return texts


def can_be_sparse(spec: LayerSpec) -> bool:
    """True for a linear layer, or a convolution that is neither grouped nor depthwise."""
    return isinstance(spec, Linear) or (isinstance(spec, Conv2d) and spec.groups == 1)


def _scale_owners(graph: NetworkGraph) -> dict[str, str]:
    """Return the name of the layer that owns the scale of each layer's output, by its name.

    The inputs of a concat have the concat's; of what activations that share a table read, and of
    their results, the first owner has it. ``graph`` is in legal form. Raises ModelError where those
    that share one are partly signed.
    """
    concat_of = _concat_members(graph)
    own: dict[str, str] = {}
    for layer in graph.layers:
        owner = scale_source(graph, layer.name)
        while owner in concat_of:  # an inner concat belongs to an outer one
            owner = concat_of[owner]
        own[layer.name] = owner
    shared: dict[tuple[str, bool], set[str]] = {}
    for layer in graph.layers:
        if isinstance(layer.spec, Activation) and layer.spec.table:
            for name, behind in ((layer.inputs[0], False), (layer.name, True)):
                shared.setdefault((layer.spec.table, behind), set()).add(own[name])
    ties = UnionFind()
    for tied in shared.values():
        ties.union(*tied)
    place = {layer.name: number for number, layer in enumerate(graph.layers)}
    first = {one: min(tied, key=place.__getitem__) for tied in ties.to_sets() for one in tied}
    for one, owner in first.items():
        if is_signed(graph, one) != is_signed(graph, owner):
            raise ModelError(
                f"layers {owner} and {one} have one scale by the table of an activation behind or "
                "in them, but codes of one alone are signed"
            )
    return {name: first.get(owner, owner) for name, owner in own.items()}


def _concat_members(graph: NetworkGraph) -> dict[str, str]:
    """Return the name of the concat that determines a layer's scale, by the layer's name.

    Layers are those that set a concat input's scale (``scale_source``); others are left out.
    ``graph`` is in legal form.
    """
    members: dict[str, str] = {}
    for layer in graph.layers:
        if isinstance(layer.spec, Concat):
            for source in layer.inputs:
                members[scale_source(graph, source)] = layer.name
    return members


def check(quantisation: Quantisation, graph: NetworkGraph) -> None:
    """Check that ``quantisation`` fits ``graph``.

    Raises ModelError for an unknown layer name, or a sparsity on a layer that cannot have one.
    """
    named = quantisation.layers
    if any(PART in name for name in named):
        graph = split_sums(graph)
    known = [layer.name for layer in graph.layers]
    for name, spec in named.items():
        if name not in known:
            raise ModelError(f"quantisation: no layer is named {name!r}; {nearest(name, known)}")
        if spec.sparsity and not can_be_sparse(graph[name].spec):
            raise ModelError(f"layer {name}: {NO_SPARSITY}")


@dataclass(frozen=True)
class TensorPlan:
    """Bits, sign and scale owner of a layer's output, known before training.

    Made by ``plan_tensors``.
    """

    scale_owner: str
    """Name of the layer that owns the scale; layers with equal owners share it."""
    bits: int
    signed: bool
    zero_point: int
    """Code of the real value 0."""

    @property
    def ends(self) -> tuple[int, int]:
        """The (least, largest) ``value / scale``: a code less the zero point."""
        return -self.zero_point, (1 << self.bits) - 1 - self.zero_point


def plan_tensors(graph: NetworkGraph, quantisation: Quantisation) -> dict[str, TensorPlan]:
    """Return bits, sign and scale owner of each layer's output but the logits, by layer name.

    ``graph`` is in legal form.
    """
    plans: dict[str, TensorPlan] = {}
    owners = _scale_owners(graph)
    for layer in graph.layers:
        owner = owners[layer.name]
        spec = graph[owner].spec
        if isinstance(spec, Input):
            bits, zero = quantisation.input_bits, quantisation.input_zero_point
            plans[layer.name] = TensorPlan(owner, bits, False, zero)
        elif layer.name != graph.output.name:
            bits = quantisation.spec(owner).activation_bits
            signed = is_signed(graph, owner)
            zero = arithmetic.zero_point(bits, signed)
            plans[layer.name] = TensorPlan(owner, bits, signed, zero)
    return plans


def threshold_layers(graph: NetworkGraph, quantisation: Quantisation) -> frozenset[str]:
    """Return the names of the layers whose activations have learned thresholds.

    They are convolutions and linear layers with a ReLU and codes of up to MOST_THRESHOLD_BITS
    (models.arithmetic), but for those whose codes share the scale of others (a concat's) or are
    looked up by an activation function. ``graph`` is in legal form.
    """
    if not quantisation.learned_thresholds:
        return frozenset()
    curves = (layer for layer in graph.layers if isinstance(layer.spec, Activation))
    others = {graph.output.name, *_concat_members(graph), *(one.inputs[0] for one in curves)}
    return frozenset(
        layer.name
        for layer in graph.layers
        if isinstance(layer.spec, Conv2d | Linear)
        and layer.spec.relu
        and layer.name not in others
        and quantisation.spec(layer.name).activation_bits <= arithmetic.MOST_THRESHOLD_BITS
    )


def widest_activation(quantisation: Quantisation, graph: NetworkGraph) -> int:
    """Return the most bits of a tensor other than the logits: the width of activation memory.

    ``graph`` need not be in legal form. Raises ModelError when it is not sound.
    """
    return max(plan.bits for plan in plan_tensors(legalise(graph), quantisation).values())
