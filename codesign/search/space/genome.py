"""Genome: parameters of designs encoded as integer genes, whatever they choose between.

A candidate (chromosome) is an int64 vector with one gene per parameter; gene g is an index into the
choices of its parameter. Genes without effect (the bits of a layer in a stage that the candidate
does not have) are inactive and held at 0, so equal networks are equal vectors (canonical form); but
the pooling of no stages, and an NPU choice that is adapted (candidates.npu_table), is not inactive.
"""

from __future__ import annotations

import abc
import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.cycles.layers import LayerTable
from codesign.search.space import graphs
from codesign.search.space.choices import DENSE
from codesign.search.space.declaration import NpuChoices
from codesign.search.space.parameters import (
    Choice,
    Combination,
    Floats32,
    Parameter,
    Requirement,
    broken,
    conditions,
)
from codesign.search.strategies import Genes, Graphs, Repeated
from rtl_gen.parameters import SPARSITIES

if TYPE_CHECKING:
    from models.graph.network import NetworkGraph
    from models.quantisation.plan import Quantisation

Ints = NDArray[np.int64]


class Genome(abc.ABC):
    """Search space as strategies, cost models and stores see it: genes, and what they stand for.

    Base of SearchSpace, whose genes build a network, of NetworkSpace, whose genes give bits to the
    layers of one that exists, and of ZooSpace, whose genes choose one of those.

    >>> from codesign.search.space.declaration import load_declaration
    >>> from codesign.search.space.encoding import SearchSpace
    >>> space: Genome = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)
    >>> space.index["stages"], space.choices["stages"]
    (0, (1, 2, 3))
    """

    shape: tuple[int, int, int]
    """Channels, rows, columns of the images."""
    classes: int

    @property
    @abc.abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters in the order of the genes; those of the NPU come last."""

    @property
    @abc.abstractmethod
    def npu(self) -> NpuChoices:
        """Choices of the NPU, whose fields ``genes`` are parameters."""

    @property
    @abc.abstractmethod
    def max_macs(self) -> int | None:
        """Largest number of multiply-accumulates per image of a feasible design; None: any."""

    @property
    def forbid(self) -> tuple[Combination, ...]:
        """Combinations of parameters that no feasible design has."""
        return ()

    @property
    def require(self) -> tuple[Requirement, ...]:
        """Combinations that a feasible design has where it has others."""
        return ()

    @property
    def identity(self) -> tuple[Any, ...]:
        """JSON values that tell the networks of this space from those of others."""
        return (self.shape, self.classes)

    @abc.abstractmethod
    def declared(self) -> dict[str, Any]:
        """Return JSON values that say what is chosen from: equal ones are of equal spaces."""

    @abc.abstractmethod
    def layers(self, candidates: Ints, threads: int | None = None) -> LayerTable:
        """Return the MAC layers of candidates of shape (n, genes), for the cost models.

        threads: at most so many, by default one per processor (``in_parts``).
        """

    @property
    def kind(self) -> str | None:
        """Parameter that tells kinds of networks apart, each of which a search looks at."""
        return "stages" if "stages" in self.index else None

    def kinds(self, candidates: Ints) -> Ints:
        """Return the kind of each candidate's network as the number of its choice, shape (n,)."""
        if self.kind is None:
            return np.zeros(len(candidates), np.int64)
        kinds: Ints = candidates[:, self.index[self.kind]]
        return kinds

    @abc.abstractmethod
    def label(self, params: Mapping[str, Choice]) -> str:
        """Return a name for people of the network of these parameters (``params``)."""

    @abc.abstractmethod
    def network(self, candidate: Ints) -> tuple[NetworkGraph, Quantisation]:
        """Return the network graph of one candidate, shape (genes,), and its quantisation."""

    def start(self, candidate: Ints) -> int:
        """Return which of several networks that are given a candidate, shape (genes,), is made of.

        0 where there is one, or none.
        """
        return 0

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Parameter name -> index of its gene."""
        return {parameter.name: gene for gene, parameter in enumerate(self.parameters)}

    @cached_property
    def choices(self) -> dict[str, tuple[Choice, ...]]:
        """Parameter name -> its choices, which genes are indices into."""
        return {parameter.name: parameter.choices for parameter in self.parameters}

    @cached_property
    def sizes(self) -> Ints:
        """Number of choices of each gene, shape (genes,)."""
        return np.array([len(parameter.choices) for parameter in self.parameters], dtype=np.int64)

    @cached_property
    def designs(self) -> int:
        """Number of canonical candidates, those that rules forbid included.

        Some of them may be the same design.
        """
        parameters = self.parameters
        names = {name for one in parameters for name, _ in (*one.requires, *one.unless)}
        deciding = [gene for gene, one in enumerate(parameters) if one.name in names]
        choices = [range(self.sizes[gene]) for gene in deciding]
        grid = np.array(list(itertools.product(*choices)), dtype=np.int64)
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
        """Sizes, kinds, parts and repeated elements of the genes, as strategies see them.

        Parameters are of one kind if their names start alike; the input's bits belong to those of
        activations, since the widest tensor decides the array's width. Kinds of one gene are left
        out.
        """
        kinds: dict[str, list[int]] = {}
        for gene, parameter in enumerate(self.parameters):
            stem = graphs.stem(parameter.name)
            kind = "activation_bits" if stem == "input_bits" else stem
            kinds.setdefault(kind, []).append(gene)
        several = (np.array(found, dtype=np.int64) for found in kinds.values() if len(found) > 1)
        of_bits = ("input_bits", "weight_bits", "activation_bits", "sparsity", "dense")
        bits = [g for g, one in enumerate(self.parameters) if one.name.startswith(of_bits)]
        network = np.setdiff1d(np.arange(len(self.sizes)), [*bits, *self.npu_genes])
        parts = (network, np.array(bits, dtype=np.int64), self.npu_genes)
        return Genes(self.sizes, tuple(several), parts, self.repeated, self.drawn)

    @property
    def repeated(self) -> Repeated | None:
        """The elements that a network has some of, such as stages; None where it is given."""
        return None

    def drawn(self, candidates: Ints) -> Graphs:
        """Return graphs of candidates of shape (n, genes), as ``graphs.draw``."""
        return graphs.draw(candidates, self.active(candidates), self.choices, self.npu_genes)

    @cached_property
    def npu_genes(self) -> Ints:
        """Indices of the genes of the NPU; all others are those of the network."""
        names = self.npu.genes
        return np.array([self.index[name] for name in names], dtype=np.int64)

    @cached_property
    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        """Parameter name -> its choices as an array."""
        return {name: np.array(choices) for name, choices in self.choices.items()}

    @cached_property
    def _conditions(self) -> tuple[Ints, Floats32, Floats32]:
        """Conditions of all parameters, as ``parameters.conditions`` returns them."""
        return conditions(self.parameters, self.index, self._arrays)

    def values(self, candidates: Ints, name: str) -> NDArray[np.generic]:
        """Return the values of the parameter ``name`` in candidates of (n, genes), shape (n,).

        Where its gene is inactive (0 in canonical candidates), that is the first choice.
        """
        return self._arrays[name][candidates[:, self.index[name]]]

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
        numbers = np.array([words.index(choice) for choice in self.choices[name]])
        found: Ints = numbers[candidates[:, self.index[name]]]
        return found

    def broken_rules(self, candidates: Ints) -> NDArray[np.float64]:
        """Return how many rules candidates of (n, genes) break, shape (n,).

        Raises UserError for a rule about what the space does not have.
        """
        return broken(self, candidates, self.forbid, self.require)

    def patterns(self, candidates: Ints) -> Ints:
        """Return the N:M patterns of the weights as indices into SPARSITIES, shape (n,).

        Of layers with different ones it is the densest.
        """
        return self.words(candidates, "sparsity", tuple(SPARSITIES), DENSE)

    def active(self, candidates: Ints) -> NDArray[np.bool_]:
        """Return True where a gene is active, by its Parameter, shape (n, genes)."""
        deciding, unmet, needs = self._conditions
        broken = unmet[np.arange(len(deciding)), candidates[:, deciding]]
        found: NDArray[np.bool_] = broken @ needs == 0
        return found

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


def network_key(space: Genome, candidate: Ints) -> str:
    """Return a hash of a candidate's network and bit widths: 12 hexadecimal digits.

    N:M pattern, image shape and number of classes count, too. Candidates that differ in their NPU
    only have the same key.
    """
    npu = {space.parameters[gene].name for gene in space.npu_genes}
    params = {k: v for k, v in space.params(candidate).items() if k not in npu}
    text = json.dumps([params, *space.identity], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def bits_label(params: Mapping[str, Choice]) -> str:
    """Return least and most bits of weights and activations of a network, such as ``w2-4 a3``."""
    found = []
    for letter, start in (("w", "weight_bits"), ("a", "activation_bits")):
        bits = [int(value) for name, value in params.items() if name.startswith(start)]
        if bits:
            low, high = min(bits), max(bits)
            found.append(f"{letter}{low}" if low == high else f"{letter}{low}-{high}")
    return " ".join(found)
