"""Decoding of a candidate's network genes to a network graph and its bit widths.

Bit widths without effect (weights of a pooling, activations of the classifier) keep the defaults of
QuantSpec, so that a design file need not name them.
"""

from __future__ import annotations

import hashlib
import json

from codesign.search.space.declaration import DENSE, Choice
from codesign.search.space.encoding import Ints, SearchSpace
from models.graph.layers import Add, Conv2d, GlobalPool, Input, LayerSpec, Linear, MaxPool
from models.graph.network import Layer, NetworkGraph
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity
from rtl_gen.parameters import SPARSITIES


def network_key(space: SearchSpace, candidate: Ints) -> str:
    """Return a hash of a candidate's network and bit widths: 12 hexadecimal digits.

    N:M pattern, image shape and number of classes count, too. Candidates that differ in their NPU
    only have the same key.
    """
    npu = {space.parameters[gene].name for gene in space.npu_genes}
    params = {k: v for k, v in space.params(candidate).items() if k not in npu}
    text = json.dumps([params, space.shape, space.classes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def network(space: SearchSpace, candidate: Ints) -> tuple[NetworkGraph, Quantisation]:
    """Return the network graph of one candidate, shape (genes,), its bit widths and N:M pattern."""
    builder = _Builder(space, candidate)
    for stage in range(1, builder.integer("stages") + 1):
        builder.stage(stage)
    builder.head()
    graph = NetworkGraph(f"net-{network_key(space, candidate)}", builder.layers)
    return graph, Quantisation(input_bits=builder.integer("input_bits"), layers=builder.bits)


class _Builder:
    """Builder that appends the layers of one candidate and their bits, from input to output."""

    def __init__(self, space: SearchSpace, candidate: Ints) -> None:
        self.classes = space.classes
        self.halving = space.halving
        self.params = space.params(candidate)
        self.layers = [Layer("input", Input(space.shape))]
        self.bits: dict[str, QuantSpec] = {}
        pattern = tuple(SPARSITIES)[int(space.patterns(candidate[None])[0])]
        self.sparsity = None if pattern == DENSE else Sparsity.parse(pattern)

    def integer(self, name: str) -> int:
        return int(self.params[name])

    def choice(self, name: str) -> Choice:
        return self.params[name]

    def _add(self, name: str, spec: LayerSpec, *inputs: str) -> str:
        self.layers.append(Layer(name, spec, inputs or (self.layers[-1].name,)))
        return name

    def stage(self, stage: int) -> None:
        """Append stage number ``stage``, from 1: convolutions, residual add if chosen, pooling.

        With pooling "stride" its first convolution has stride 2 instead.
        """
        convs = self.integer(f"convs{stage}")
        size = self.integer(f"kernel{stage}")
        rows, columns = (size if step > 1 else 1 for step in self.halving)
        strided = self.choice("pooling") == "stride"
        residual = convs >= 2 and bool(self.params[f"residual{stage}"])
        outputs = []
        for conv in range(1, convs + 1):
            spec = Conv2d(
                self.integer(f"channels{stage}"),
                (rows, columns),
                stride=self.halving if strided and conv == 1 else (1, 1),
                padding=(rows // 2, columns // 2),
                batch_norm=True,
                relu=not (residual and conv == convs),
            )
            outputs.append(self._add(f"conv{stage}_{conv}", spec))
            self.bits[outputs[-1]] = QuantSpec(
                self.integer(f"weight_bits{stage}.{conv}"),
                self.integer(f"activation_bits{stage}.{conv}"),
                # The image has few channels; what the first layer drops of it is lost.
                sparsity=self.sparsity if outputs[1:] or stage > 1 else None,
            )
        if residual:
            total = self._add(f"add{stage}", Add(relu=True), outputs[0], outputs[-1])
            self.bits[total] = QuantSpec(activation_bits=self.bits[outputs[-1]].activation_bits)
        if not strided:
            self._add(f"pool{stage}", MaxPool(self.halving, self.halving))

    def head(self) -> None:
        """Append the classifier, after global average pooling and a hidden layer if chosen.

        Without stages nothing is averaged.
        """
        last = self.integer("stages")
        if last and self.choice("head") == "average":
            before = self.bits[f"conv{last}_{self.integer(f'convs{last}')}"]
            pooled = self._add("average", GlobalPool("avg"))
            self.bits[pooled] = QuantSpec(activation_bits=before.activation_bits)
        if hidden := self.integer("hidden"):
            self._add("hidden", Linear(hidden, batch_norm=True, relu=True))
            self.bits["hidden"] = QuantSpec(
                self.integer("weight_bits.hidden"),
                self.integer("activation_bits.hidden"),
                self.sparsity,
            )
        self._add("classifier", Linear(self.classes))
        bits = self.integer("weight_bits.classifier")
        self.bits["classifier"] = QuantSpec(bits, sparsity=self.sparsity)
