"""Decoding of a candidate's network genes to a network graph and its bit widths.

Bit widths without effect (weights of a pooling, activations of the classifier) keep the defaults of
QuantSpec, so that a design file need not name them.
"""

from __future__ import annotations

import dataclasses

from codesign.search.space.choices import (
    CHEAP_KERNEL,
    DENSE,
    EXPANSIONS,
    GHOST,
    PLAIN,
    PROJECTION,
    STACK,
    STEM,
    STRIDE,
)
from codesign.search.space.genome import Ints, network_key
from codesign.search.space.parameters import Choice
from codesign.search.space.stages import StageGenes
from models.graph.layers import Add, Concat, Conv2d, GlobalPool, Input, LayerSpec, Linear, MaxPool
from models.graph.network import Layer, NetworkGraph
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity
from rtl_gen.parameters import SPARSITIES


def network(space: StageGenes, candidate: Ints) -> tuple[NetworkGraph, Quantisation]:
    """Return the network graph of one candidate, shape (genes,), its bit widths and N:M pattern."""
    builder = _Builder(space, candidate)
    for stage in range(1, builder.integer("stages") + 1):
        builder.stage(stage)
    builder.head()
    graph = NetworkGraph(f"net-{network_key(space, candidate)}", builder.layers)
    return graph, Quantisation(input_bits=builder.integer("input_bits"), layers=builder.bits)


class _Builder:
    """Builder that appends the layers of one candidate and their bits, from input to output."""

    def __init__(self, space: StageGenes, candidate: Ints) -> None:
        self.classes = space.classes
        self.halving = space.halving
        self.params = space.params(candidate)
        self.layers = [Layer("input", Input(space.shape))]
        self.shapes = {"input": space.shape}
        self.bits: dict[str, QuantSpec] = {}
        self.stage_bits = 0
        """Bits of the last stage's output."""
        words = [tuple(SPARSITIES)[int(one)] for one in space.stage_patterns(candidate[None])[0]]
        self.patterns = [None if word == DENSE else Sparsity.parse(word) for word in words]
        self.sparsity = self.patterns[-1]
        """Pattern of the layers that are appended now."""

    def integer(self, name: str) -> int:
        return int(self.params[name])

    def choice(self, name: str) -> Choice:
        return self.params[name]

    @property
    def last(self) -> str:
        """Name of the last layer."""
        return self.layers[-1].name

    def _add(self, name: str, spec: LayerSpec, *inputs: str) -> str:
        self.layers.append(Layer(name, spec, inputs or (self.last,)))
        read = [self.shapes[one] for one in self.layers[-1].inputs]
        self.shapes[name] = spec.output_shape(read)
        return name

    def stage(self, stage: int) -> None:
        """Append stage number ``stage``, from 1: convolutions, residual add if chosen, pooling.

        Where the pooling has a stride in this stage (POOLINGS), its first convolution has it
        instead. A stage that keeps the size of its map has neither.
        """
        convs, entry = self.integer(f"convs{stage}"), self.last
        self.sparsity = self.patterns[stage - 1]
        halves = self._halves(stage, entry)
        pooling = self.choice("pooling")
        strided = pooling == STRIDE or (pooling == STEM and stage == 1)
        stride = self.halving if halves and strided else (1, 1)
        residual = self.params.get(f"residual{stage}", False) if convs >= 2 else False
        outputs = []
        for conv in range(1, convs + 1):
            relu = not (residual and conv == convs)
            step = stride if conv == 1 else (1, 1)
            outputs.append(self._convolution(stage, conv, step, relu))
        self.stage_bits = self.bits[outputs[-1]].activation_bits
        if residual:
            first = outputs[0]
            bits = self.stage_bits
            if residual == PROJECTION:
                weights = self.integer(f"weight_bits{stage}.1")
                spec = Conv2d(self.integer(f"channels{stage}"), (1, 1), stride, batch_norm=True)
                first = self._conv(f"projection{stage}", spec, weights, bits, entry)
            total = self._add(f"add{stage}", Add(relu=True), first, outputs[-1])
            self.bits[total] = QuantSpec(activation_bits=bits)
        if halves and not strided:
            self._add(f"pool{stage}", MaxPool(self.halving, self.halving))

    def _halves(self, stage: int, entry: str) -> bool:
        """Return True if a stage, whose input is ``entry``, halves its map."""
        sides = zip(self.shapes[entry][1:], self.halving, strict=True)
        return bool(self.params.get(f"halve{stage}", True)) and all(
            side >= step for side, step in sides
        )

    def _convolution(self, stage: int, conv: int, stride: tuple[int, int], relu: bool) -> str:
        """Append one convolution of a stage, as the block that is chosen, and return its name."""
        name, image = f"conv{stage}_{conv}", self.last == "input"
        channels, size = self.integer(f"channels{stage}"), self.integer(f"kernel{stage}")
        rows, columns = (size if step > 1 else 1 for step in self.halving)
        block = str(self.params.get(f"block{stage}", PLAIN))
        weights = self.integer(f"weight_bits{stage}.{conv}")
        bits = self.integer(f"activation_bits{stage}.{1 if block == STACK else conv}")
        wide = Conv2d(channels, (rows, columns), stride, (rows // 2, columns // 2), 1, True, relu)
        if block == STACK:
            return self._stacked(stage, conv, wide, weights, bits)
        if block == GHOST and not image:
            return self._ghost(name, wide, weights, bits)
        expansion = EXPANSIONS.get(block, 0)
        if image or not expansion:
            return self._conv(name, wide, weights, bits)
        if expansion > 1:
            more = Conv2d(self.shapes[self.last][0] * expansion, (1, 1), batch_norm=True, relu=True)
            self._conv(f"{name}_expand", more, weights, bits)
        inner = self.shapes[self.last][0]
        apart = dataclasses.replace(wide, out_channels=inner, groups=inner, relu=True)
        self._conv(f"{name}_depthwise", apart, weights, bits)
        point = Conv2d(channels, (1, 1), batch_norm=True, relu=relu and expansion == 1)
        return self._conv(name, point, weights, bits)

    def _stacked(self, stage: int, conv: int, wide: Conv2d, weights: int, bits: int) -> str:
        """Append a convolution of a dense block, and from the second on all until now together."""
        name, before, convs = f"conv{stage}_{conv}", self.last, self.integer(f"convs{stage}")
        share = wide.out_channels // convs
        own = share if conv > 1 else wide.out_channels - share * (convs - 1)
        self._conv(name, dataclasses.replace(wide, out_channels=own), weights, bits)
        if conv == 1:
            return name
        return self._concat(f"stack{stage}_{conv}", bits, before, name)

    def _ghost(self, name: str, wide: Conv2d, weights: int, bits: int) -> str:
        """Append a ghost block: half of its channels, what is made of these, and both together."""
        half = dataclasses.replace(wide, out_channels=wide.out_channels // 2)
        first = self._conv(f"{name}_primary", half, weights, bits)
        rows, columns = (CHEAP_KERNEL if step > 1 else 1 for step in self.halving)
        cheap = Conv2d(
            half.out_channels, (rows, columns), (1, 1), (rows // 2, columns // 2),
            half.out_channels, True, wide.relu,
        )  # fmt: skip
        second = self._conv(f"{name}_cheap", cheap, weights, bits)
        return self._concat(name, bits, first, second)

    def _concat(self, name: str, bits: int, *inputs: str) -> str:
        self._add(name, Concat(), *inputs)
        self.bits[name] = QuantSpec(activation_bits=bits)
        return name

    def _conv(self, name: str, spec: Conv2d, weights: int, bits: int, *inputs: str) -> str:
        """Append a convolution and the bits of its weights and of its output.

        It has the N:M pattern unless it is depthwise, or reads the image: that has few channels,
        and what is dropped of it is lost.
        """
        self._add(name, spec, *inputs)
        dense = spec.groups > 1 or "input" in self.layers[-1].inputs
        self.bits[name] = QuantSpec(weights, bits, None if dense else self.sparsity)
        return name

    def head(self) -> None:
        """Append the classifier, after global average pooling and a hidden layer if chosen.

        Without stages nothing is averaged.
        """
        last, self.sparsity = self.integer("stages"), self.patterns[-1]
        if last and self.choice("head") == "average":
            pooled = self._add("average", GlobalPool("avg"))
            self.bits[pooled] = QuantSpec(activation_bits=self.stage_bits)
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
