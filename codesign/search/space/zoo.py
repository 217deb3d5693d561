"""ZooSpace: changes to one of several networks that exist, and NPUs, encoded as genes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.search.space.declaration import NpuChoices
from codesign.search.space.genome import Genome, Ints
from codesign.search.space.given import CHANNELS, WEIGHTS_SHA256, NetworkSpace
from codesign.search.space.graphs import stem
from codesign.search.space.parameters import Choice, Parameter
from models.graph.network import NetworkGraph
from models.quantisation.plan import Quantisation

NETWORK = "zoo_network"
"""Parameter that says which network a candidate is made of."""


@dataclass(frozen=True, eq=False)
class ZooLayers(LayerTable):
    """A LayerTable that says which network of a zoo each row is of. Made by ``ZooSpace.layers``."""

    number: Ints
    """Number of the network, from 0, the same in all slots."""

    @property
    def numbers(self) -> Ints:
        """Number of the network of each row, shape (networks,)."""
        found: Ints = self.number[:, 0]
        return found


@dataclass(frozen=True, eq=False)
class ZooSpace(Genome):
    """The union of the spaces of several networks, which share the NPU.

    The first gene is the network; those of every network's own parameters follow, active where it
    is the one, then those of the NPU.

    >>> from codesign.search.space.declaration import load_declaration
    >>> from models.graph.layers import Linear
    >>> from models.graph.network import sequential
    >>> npu = load_declaration("digits").npu
    >>> graphs = [sequential("net", (1, 8, 8), Linear(n, relu=True), Linear(10)) for n in (8, 16)]
    >>> small, large = (NetworkSpace(one, "sha", npu) for one in graphs)
    >>> space = ZooSpace({"small": small, "large": large})
    >>> [one.name for one in space.parameters][:3]
    ['zoo_network', 'input_bits.small', 'weight_bits.small.linear1']
    """

    spaces: Mapping[str, NetworkSpace]
    """One or more, by name, with the same choices of the NPU and images of the same shape."""

    @functools.cached_property
    def every_space(self) -> tuple[NetworkSpace, ...]:
        """The spaces by number of the network."""
        return tuple(self.spaces.values())

    @property
    def npu(self) -> NpuChoices:
        """Choices of the NPU."""
        return self.every_space[0].npu

    @property
    def max_macs(self) -> None:
        """Nothing: the networks are as large as they are."""
        return

    @property
    def shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Channels, rows, columns of the images."""
        return self.every_space[0].shape

    @property
    def classes(self) -> int:  # type: ignore[override]
        """Values that the networks end with."""
        return self.every_space[0].classes

    @property
    def identity(self) -> tuple[Any, ...]:
        """The networks that the genes are of."""
        return tuple((name, one.weights_sha256) for name, one in self.spaces.items())

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters in the order of the genes."""
        names = tuple(self.spaces)
        found = [Parameter(NETWORK, names)]
        for number, (name, one) in enumerate(self.spaces.items()):
            here = ((NETWORK, number),) if number else ()
            others = tuple((NETWORK, other) for other in names[number + 1 :])
            for own in one.parameters[: -len(one.npu.genes)]:
                needs = tuple((_named(needed, name), least) for needed, least in own.requires)
                found.append(
                    Parameter(_named(own.name, name), own.choices, (*here, *needs), others)
                )
        first = self.every_space[0]
        return (*found, *first.parameters[-len(first.npu.genes) :])

    @functools.cached_property
    def _genes_of(self) -> tuple[Ints, ...]:
        """By number of the network: the genes that its own space has, in the order of that."""
        return tuple(
            np.array(
                [
                    self.index[own.name if own.name in one.npu.genes else _named(own.name, name)]
                    for own in one.parameters
                ],
                np.int64,
            )
            for name, one in self.spaces.items()
        )

    @property
    def designs(self) -> int:  # type: ignore[override]
        """Number of canonical candidates: those of all networks."""
        return sum(one.designs for one in self.every_space)

    @functools.cached_property
    def bases(self) -> Ints:
        """The first choices of every network, shape (networks, genes)."""
        found = np.zeros((len(self.spaces), len(self.sizes)), np.int64)
        found[:, self.index[NETWORK]] = np.arange(len(found))
        return found

    def start(self, candidate: Ints) -> int:
        """Return the number of the network that a candidate, shape (genes,), is made of."""
        return int(candidate[self.index[NETWORK]])

    def own(self, candidates: Ints, number: int) -> Ints:
        """Return candidates of one network, shape (..., genes), as its own space has them."""
        found: Ints = candidates[..., self._genes_of[number]]
        return found

    def joined(self, own: Ints, number: int) -> Ints:
        """Return candidates of one network's own space, (n, its genes), as this one has them."""
        found = np.tile(self.bases[number], (len(own), 1))
        found[:, self._genes_of[number]] = own
        return found

    def _parts(self, candidates: Ints) -> Iterator[tuple[int, NetworkSpace, Ints, Ints]]:
        """Yield number, space, rows and own candidates of each network that candidates are of."""
        numbers = candidates[:, self.index[NETWORK]]
        for number in np.unique(numbers):
            rows = np.flatnonzero(numbers == number)
            yield (
                int(number), self.every_space[number], rows, self.own(candidates[rows], number)
            )  # fmt: skip

    def declared(self) -> dict[str, Any]:
        """Return the networks' hashes and what is chosen from as JSON values."""
        found = {name: one.declared() for name, one in self.spaces.items()}
        own = (WEIGHTS_SHA256, CHANNELS)
        shared = {k: v for k, v in next(iter(found.values())).items() if k not in own}
        return {**{key: {name: one[key] for name, one in found.items()} for key in own}, **shared}

    def layers(self, candidates: Ints, threads: int | None = None) -> ZooLayers:
        """Return the MAC layers of candidates of shape (n, genes), as ``NetworkSpace.layers``."""
        table = ZooLayers.empty(len(candidates), self._slots)
        for number, one, rows, own in self._parts(candidates):
            _write(table, rows, one.layers(own, threads), number)
        return table

    def placed(self, layers: LayerTable, number: int) -> ZooLayers:
        """Return layers of one network's own space as rows of this one's."""
        table = ZooLayers.empty(len(layers), self._slots)
        _write(table, np.arange(len(layers)), layers, number)
        return table

    @functools.cached_property
    def _slots(self) -> int:
        return max(len(one.mac_layers) for one in self.every_space)

    def patterns(self, candidates: Ints) -> Ints:
        """Return the N:M patterns of the weights as indices into SPARSITIES, shape (n,)."""
        found = np.zeros(len(candidates), np.int64)
        for _, one, rows, own in self._parts(candidates):
            found[rows] = one.patterns(own)
        return found

    def network(self, candidate: Ints) -> tuple[NetworkGraph, Quantisation]:
        """Return the graph and the quantisation of one candidate, shape (genes,)."""
        number = self.start(candidate)
        return self.every_space[number].network(self.own(candidate, number))

    def label(self, params: Mapping[str, Choice]) -> str:
        """Return the network's name in the zoo and what is changed, as ``NetworkSpace.label``."""
        name = str(params[NETWORK])
        one = self.spaces[name]
        own = {
            parameter.name: params[_named(parameter.name, name)]
            for parameter in one.parameters
            if _named(parameter.name, name) in params
        }
        return name + one.label(own).removeprefix(one.graph.name)


def _write(table: ZooLayers, rows: Ints, layers: LayerTable, number: int) -> None:
    """Write layers of one network into rows of a table with at least as many slots."""
    table.number[rows] = number
    for field in dataclasses.fields(LayerTable):
        column = getattr(layers, field.name)
        getattr(table, field.name)[rows, : column.shape[1]] = column


def _named(parameter: str, network: str) -> str:
    """Return the name in the zoo of a network's parameter, such as ``weight_bits.resnet8.fc``."""
    start = stem(parameter)
    return f"{start}.{network}{parameter.removeprefix(start)}"
