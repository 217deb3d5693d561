"""StageGenes: encoding of a declaration as integer genes, for images of one shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from codesign.search.space.declaration import (
    BLOCKS,
    DENSE,
    PLAIN,
    PROJECTION,
    NpuChoices,
    SpaceDeclaration,
)
from codesign.search.space.genome import Genome, Parameter, bits_label
from codesign.search.space.rules import Choice, Combination, Requirement


@dataclass(frozen=True)
class StageGenes(Genome):
    """Genes of a declaration for images of ``shape`` in ``classes`` classes.

    Made by ``SearchSpace``, which decodes them. Sides of one row or column are never halved:
    signals have one row, tables of features one pixel.
    """

    declaration: SpaceDeclaration
    shape: tuple[int, int, int]
    """Channels, rows, columns of the images."""
    classes: int

    @cached_property
    def max_stages(self) -> int:
        """Most stages: of the declared choices, but no more than the images allow.

        Where each stage must halve every side of more than one pixel, rounding down, it finds two
        or more pixels there.
        """
        if self.keeps_size:
            return max(self.declaration.network.stages)
        sides = [side for side in self.shape[1:] if side > 1]
        allowed = min(sides).bit_length() - 1 if sides else 0
        return min(max(self.declaration.network.stages), allowed)

    @property
    def keeps_size(self) -> bool:
        """True if the declaration has stages that do not halve their map."""
        return self.declaration.network.halve != (True,)

    @property
    def halving(self) -> tuple[int, int]:
        """Factors by which a stage divides (rows, columns) of its map: 2, or 1 for a side of 1."""
        rows, columns = (2 if side > 1 else 1 for side in self.shape[1:])
        return rows, columns

    @cached_property
    def max_convs(self) -> int:
        """Largest number of convolutions per stage."""
        stages = range(1, self.max_stages + 1)
        net = self.declaration.network
        return max((int(n) for stage in stages for n in net.of_stage("convs", stage)), default=0)

    @cached_property
    def max_stage_layers(self) -> int:
        """Largest number of MAC layers per stage."""
        net = self.declaration.network
        choices = {name: set[Choice]() for name in ("blocks", "residual")}
        for name, found in choices.items():
            for stage in range(1, self.max_stages + 1):
                found.update(net.of_stage(name, stage))
        layers = max((min(BLOCKS[str(word)], 2) + 1 for word in choices["blocks"]), default=1)
        return self.max_convs * layers + 1 + (PROJECTION in choices["residual"])

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters in the order of the genes.

        ``stages`` has no choices above ``max_stages``, or only that if the declaration has none.
        """
        net, bits, npu = self.declaration.network, self.declaration.bits, self.declaration.npu
        stages = tuple(s for s in net.stages if s <= self.max_stages) or (self.max_stages,)
        found = [
            Parameter("stages", stages),
            Parameter("pooling", net.pooling),
            Parameter("head", net.head, (("stages", 1),)),
            Parameter("hidden", net.hidden),
            Parameter("input_bits", bits.input),
        ]
        for stage in range(1, self.max_stages + 1):
            here = (("stages", stage),)
            convs = f"convs{stage}"
            found += [
                Parameter(convs, net.of_stage("convs", stage), here),
                Parameter(f"channels{stage}", net.of_stage("channels", stage), here),
                Parameter(f"kernel{stage}", net.of_stage("kernels", stage), here),
                Parameter(f"residual{stage}", net.of_stage("residual", stage), (*here, (convs, 2))),
            ]
            if net.blocks != (PLAIN,):
                found.append(Parameter(f"block{stage}", net.of_stage("blocks", stage), here))
            if self.keeps_size:
                found.append(Parameter(f"halve{stage}", net.of_stage("halve", stage), here))
            for conv in range(1, self.max_convs + 1):
                there = (*here, (convs, conv))
                found += [
                    Parameter(f"weight_bits{stage}.{conv}", bits.weights, there),
                    Parameter(f"activation_bits{stage}.{conv}", bits.activations, there),
                ]
        found += [
            Parameter("weight_bits.hidden", bits.weights, (("hidden", 1),)),
            Parameter("activation_bits.hidden", bits.activations, (("hidden", 1),)),
            Parameter("weight_bits.classifier", bits.weights),
        ]
        if bits.sparsity != (DENSE,):
            found.append(Parameter("sparsity", bits.sparsity))
        found += [Parameter(name, getattr(npu, name)) for name in npu.genes]
        return tuple(found)

    @property
    def npu(self) -> NpuChoices:
        """Choices of the NPU."""
        return self.declaration.npu

    @property
    def max_macs(self) -> int:
        """Largest number of multiply-accumulates per image of a feasible design."""
        return self.declaration.max_macs

    @property
    def forbid(self) -> tuple[Combination, ...]:
        """Combinations of parameters that no feasible design has."""
        return self.declaration.forbid

    @property
    def require(self) -> tuple[Requirement, ...]:
        """Combinations that a feasible design has where it has others."""
        return self.declaration.require

    def declared(self) -> dict[str, Any]:
        """Return the declaration as JSON values."""
        return dataclasses.asdict(self.declaration)

    def label(self, params: Mapping[str, Choice]) -> str:
        """Return stages with their channels, a hidden layer and the range of bits."""
        stages = int(params["stages"])
        parts = []
        if stages:
            channels = "-".join(str(params[f"channels{stage}"]) for stage in range(1, stages + 1))
            parts.append(f"{stages} stage{'s' if stages > 1 else ''} {channels}")
        if params["hidden"]:
            parts.append(f"{params['hidden']} hidden")
        return ", ".join([*(parts or ["linear"]), bits_label(params)])
