"""StageGenes: encoding of a declaration as integer genes, for images of one shape."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from codesign.search.space.choices import (
    ACCUMULATOR,
    DENSE,
    EXPANSIONS,
    GHOST,
    PLAIN,
    PROJECTION,
    STACK,
)
from codesign.search.space.declaration import NpuChoices, SpaceDeclaration
from codesign.search.space.genome import Genome, Ints, bits_label
from codesign.search.space.parameters import Choice, Combination, Parameter, Requirement
from codesign.search.strategies import Repeated
from rtl_gen.parameters import SPARSITIES


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
        layers = max((_layers(str(word)) for word in choices["blocks"]), default=1)
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
            convs, blocks = f"convs{stage}", net.of_stage("blocks", stage)
            stacks = ((f"block{stage}", STACK),) if STACK in blocks else ()
            found += [
                Parameter(convs, net.of_stage("convs", stage), here),
                Parameter(f"channels{stage}", net.of_stage("channels", stage), here),
                Parameter(f"kernel{stage}", net.of_stage("kernels", stage), here),
            ]
            if net.blocks != (PLAIN,):
                found.append(Parameter(f"block{stage}", blocks, here))
            pair = (*here, (convs, 2))
            found.append(
                Parameter(f"residual{stage}", net.of_stage("residual", stage), pair, stacks)
            )
            if self.keeps_size:
                found.append(Parameter(f"halve{stage}", net.of_stage("halve", stage), here))
            for conv in range(1, self.max_convs + 1):
                there = (*here, (convs, conv))
                found += [
                    Parameter(f"weight_bits{stage}.{conv}", bits.weights, there),
                    Parameter(
                        f"activation_bits{stage}.{conv}",
                        bits.activations,
                        there,
                        stacks if conv > 1 else (),  # one memory holds all, of equal bits
                    ),
                ]
        found += [
            Parameter("weight_bits.hidden", bits.weights, (("hidden", 1),)),
            Parameter("activation_bits.hidden", bits.activations, (("hidden", 1),)),
            Parameter("weight_bits.classifier", bits.weights),
        ]
        if bits.by_stage:
            found += [
                Parameter(
                    f"sparsity{stage}",
                    bits.patterns(stage),
                    # The first convolution, of the image, is dense.
                    (("stages", stage), *((("convs1", 2),) if stage == 1 else ())),
                )
                for stage in range(1, self.max_stages + 1)
            ]
            found.append(Parameter("sparsity.head", bits.patterns(0)))
        elif bits.sparsity != (DENSE,):
            found.append(Parameter("sparsity", bits.patterns(0)))
        if npu.accumulator_bits != NpuChoices.accumulator_bits:
            found.append(Parameter(ACCUMULATOR, npu.accumulator_bits))
        found += npu.parameters()
        return tuple(found)

    @property
    def repeated(self) -> Repeated | None:
        """The stages: their number, and the genes of each; None where there can be none."""
        if not self.max_stages:
            return None
        own: dict[int, list[int]] = {stage + 1: [] for stage in range(self.max_stages)}
        for gene, parameter in enumerate(self.parameters):
            if found := re.fullmatch(r"[a-z_]+(\d+)(\.\d+)?", parameter.name):
                own[int(found[1])].append(gene)
        lengths = np.array(self.choices["stages"], dtype=np.int64)
        elements = np.array(list(own.values()), dtype=np.int64)
        return Repeated(self.index["stages"], lengths, elements)

    def stage_patterns(self, candidates: Ints) -> Ints:
        """Return the N:M patterns of stages and, last, of the fully connected layers.

        They are indices into SPARSITIES, shape (n, stages + 1), that of a stage which a candidate
        has not among them.
        """
        if not self.declaration.bits.by_stage:
            return np.repeat(super().patterns(candidates)[:, None], self.max_stages + 1, axis=1)
        genes = (*(f"sparsity{stage + 1}" for stage in range(self.max_stages)), "sparsity.head")
        words = tuple(SPARSITIES)
        return np.stack([self.words(candidates, gene, words) for gene in genes], axis=1)

    def patterns(self, candidates: Ints) -> Ints:
        """Return the densest N:M pattern of each candidate's layers, shape (n,)."""
        if not self.declaration.bits.by_stage:
            return super().patterns(candidates)
        order = sorted(range(len(SPARSITIES)), key=_density)
        ranks = np.argsort(order)[self.stage_patterns(candidates)]
        first = self.index["sparsity1"] if self.max_stages else self.index["sparsity.head"]
        there = self.active(candidates)[:, first : first + self.max_stages + 1]
        found: Ints = np.array(order)[np.where(there, ranks, 0).max(axis=1)]
        return found

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
        """Return the declaration as JSON values, those of releases before where none is later."""
        return {**dataclasses.asdict(self.declaration), "npu": self.npu.declared()}

    def label(self, params: Mapping[str, Choice]) -> str:
        """Return stages with their channels, a hidden layer and the range of bits."""
        stages = int(params["stages"])
        parts = []
        if stages:
            channels = "-".join(str(params[f"channels{stage}"]) for stage in range(1, stages + 1))
            parts.append(f"{stages} stage{'s' if stages > 1 else ''} {channels}")
            blocks = [str(params.get(f"block{stage}", PLAIN)) for stage in range(1, stages + 1)]
            if set(blocks) != {PLAIN}:
                parts.append("-".join(blocks))
        if params["hidden"]:
            parts.append(f"{params['hidden']} hidden")
        parts = [*(parts or ["linear"]), bits_label(params)]
        if params.get(ACCUMULATOR):
            parts.append(f"sums of {params[ACCUMULATOR]} bits")
        return ", ".join(parts)


def _layers(block: str) -> int:
    """Return the most MAC layers of a convolution that is made as ``block``."""
    return min(EXPANSIONS.get(block, int(block == GHOST)), 2) + 1


def _density(pattern: int) -> tuple[float, int]:
    """Return a key by which patterns, indices into SPARSITIES, are sorted, the sparsest first.

    Of equally dense ones the smaller group is the sparser one: it is of the other's pattern, too.
    """
    kept, group = tuple(SPARSITIES.values())[pattern]
    return kept / group, group if group > 1 else 0
