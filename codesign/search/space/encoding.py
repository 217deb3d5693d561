"""SearchSpace: encoding of a declaration as integer genes, for images of one shape.

A candidate (chromosome) is an int64 vector with one gene per parameter; gene g is an index into the
choices of its parameter. Genes without effect (the bits of a layer in a stage that the candidate
does not have) are inactive and held at 0, so equal networks are equal vectors (canonical form); but
the pooling of no stages, and an NPU choice that is adapted (candidates.npu_table), is not inactive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.search.space import rules
from codesign.search.space.declaration import (
    BLOCKS,
    DENSE,
    PLAIN,
    PROJECTION,
    SpaceDeclaration,
)
from codesign.search.space.rules import Choice
from codesign.search.strategies import Genes
from rtl_gen.parameters import SPARSITIES

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Parameter:
    """Parameter of a search space, encoded as one gene.

    >>> Parameter("kernel2", choices=(3, 5), requires=(("stages", 2),)).choices[1]
    5
    """

    name: str
    choices: tuple[Choice, ...]
    requires: tuple[tuple[str, int], ...] = ()
    """Pairs (parameter, least value) that must all hold for the gene to be active."""


@dataclass(frozen=True)
class SearchSpace:
    """Search space of a declaration for images of ``shape`` in ``classes`` classes.

    Sides of one row or column are never halved: signals have one row, tables of features one pixel.

    >>> from codesign.search.space.declaration import load_declaration
    >>> space = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)
    >>> candidate = np.zeros(len(space.sizes), dtype=np.int64)
    >>> space.params(candidate)["lanes"]
    4
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

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Parameter name -> index of its gene."""
        return {parameter.name: gene for gene, parameter in enumerate(self.parameters)}

    @cached_property
    def sizes(self) -> Ints:
        """Number of choices of each gene, shape (genes,)."""
        return np.array([len(parameter.choices) for parameter in self.parameters], dtype=np.int64)

    @cached_property
    def designs(self) -> int:
        """Number of canonical candidates, those that rules forbid included.

        Some of them may be the same design.
        """
        names = {name for parameter in self.parameters for name, _ in parameter.requires}
        deciding = [
            gene for gene, parameter in enumerate(self.parameters) if parameter.name in names
        ]
        choices = [np.arange(self.sizes[gene]) for gene in deciding]
        grid = np.stack([axis.ravel() for axis in np.meshgrid(*choices, indexing="ij")], axis=1)
        candidates = np.zeros((len(grid), len(self.sizes)), dtype=np.int64)
        candidates[:, deciding] = grid
        candidates = np.unique(self.canonical(candidates), axis=0)
        free = self.active(candidates)
        free[:, deciding] = False
        # Integers of Python, since the product exceeds 64 bits.
        return sum(math.prod(map(int, self.sizes[row])) for row in free)

    def every(self) -> Ints:
        """Return all canonical candidates, shape (designs, genes): for small spaces."""
        found = np.zeros((1, len(self.sizes)), dtype=np.int64)
        for gene, size in enumerate(self.sizes):
            # A gene depends on earlier ones only, which are decided.
            copies = np.where(self.active(found)[:, gene], size, 1)
            found = np.repeat(found, copies, axis=0)
            found[:, gene] = np.arange(len(found)) - np.repeat(np.cumsum(copies) - copies, copies)
        return found

    @cached_property
    def genes(self) -> Genes:
        """Sizes, kinds and parts of the genes, as search strategies see them.

        Parameters are of one kind if their names start alike; the input's bits belong to those of
        activations, since the widest tensor decides the array's width. Kinds of one gene are left
        out.
        """
        kinds: dict[str, list[int]] = {}
        for gene, parameter in enumerate(self.parameters):
            stem = re.match("[a-z_]*", parameter.name)
            assert stem is not None  # the pattern matches the empty text, too
            kind = "activation_bits" if parameter.name == "input_bits" else stem.group()
            kinds.setdefault(kind, []).append(gene)
        several = (np.array(found, dtype=np.int64) for found in kinds.values() if len(found) > 1)
        of_bits = ("input_bits", "weight_bits", "activation_bits", "sparsity")
        bits = [g for g, one in enumerate(self.parameters) if one.name.startswith(of_bits)]
        network = np.setdiff1d(np.arange(len(self.sizes)), [*bits, *self.npu_genes])
        parts = (network, np.array(bits, dtype=np.int64), self.npu_genes)
        return Genes(self.sizes, tuple(several), parts)

    @cached_property
    def npu_genes(self) -> Ints:
        """Indices of the genes of the NPU; all others are those of the network."""
        names = self.declaration.npu.genes
        return np.array([self.index[name] for name in names], dtype=np.int64)

    def values(self, candidates: Ints, name: str) -> NDArray[np.generic]:
        """Return the values of the parameter ``name`` in candidates of (n, genes), shape (n,).

        Where its gene is inactive (0 in canonical candidates), that is the first choice.
        """
        gene = self.index[name]
        return np.array(self.parameters[gene].choices)[candidates[:, gene]]

    def integers(self, candidates: Ints, name: str) -> Ints:
        """Return ``values`` of a numeric parameter as int64, shape (n,)."""
        return self.values(candidates, name).astype(np.int64)

    def words(
        self, candidates: Ints, name: str, words: Sequence[Choice], default: Choice | None = None
    ) -> Ints:
        """Return ``values`` of a parameter as indices into ``words``, shape (n,).

        default: the value where the space has no such parameter, which raises KeyError without it.
        """
        if default is not None and name not in self.index:
            return np.full(len(candidates), words.index(default), dtype=np.int64)
        gene = self.index[name]
        numbers = np.array([words.index(choice) for choice in self.parameters[gene].choices])
        found: Ints = numbers[candidates[:, gene]]
        return found

    def broken_rules(self, candidates: Ints) -> NDArray[np.float64]:
        """Return how many rules of the declaration candidates of (n, genes) break, shape (n,).

        Raises UserError for a rule about what the space does not have.
        """
        return rules.broken(self, candidates, self.declaration.forbid, self.declaration.require)

    def patterns(self, candidates: Ints) -> Ints:
        """Return the N:M patterns of the weights as indices into SPARSITIES, shape (n,)."""
        return self.words(candidates, "sparsity", tuple(SPARSITIES), DENSE)

    def active(self, candidates: Ints) -> NDArray[np.bool_]:
        """Return True where a gene is active, by Parameter.requires, shape (n, genes)."""
        mask = np.ones(candidates.shape, dtype=np.bool_)
        for gene, parameter in enumerate(self.parameters):
            for name, least in parameter.requires:
                mask[:, gene] &= self.integers(candidates, name) >= least
        return mask

    def canonical(self, candidates: Ints) -> Ints:
        """Return a copy of the candidates, shape (n, genes), with inactive genes set to 0."""
        # One round is enough: a gene also lists the conditions of the genes that it depends on.
        return np.where(self.active(candidates), candidates, 0)

    def params(self, candidate: Ints) -> dict[str, Choice]:
        """Return names and values of the active parameters of one candidate, shape (genes,)."""
        active = self.active(candidate[None])[0]
        return {
            parameter.name: parameter.choices[candidate[gene]]
            for gene, parameter in enumerate(self.parameters)
            if active[gene]
        }

    @cached_property
    def choices(self) -> dict[str, tuple[Choice, ...]]:
        """Parameter name -> its choices, which genes are indices into."""
        return {parameter.name: parameter.choices for parameter in self.parameters}
