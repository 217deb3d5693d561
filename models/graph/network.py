"""NetworkGraph: the network as an immutable networkx DiGraph of layer specifications.

Editing methods return new objects. The constructor checks names and edges;
``models.graph.verifier.verify`` checks everything else and runs after every pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from models.errors import ModelError
from models.files.nodes import nearest
from models.files.reading import printable, quoted
from models.graph.layers import Input, LayerSpec, Shape

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
LONGEST_CYCLE = 200
"""Most characters of a cycle that a message shows."""


@dataclass(frozen=True)
class Layer:
    """Node of a graph: a layer specification and the names of the layers that it reads, in order.

    >>> Layer("image", Input((1, 8, 8)))
    Layer(name='image', spec=Input(shape=(1, 8, 8)), inputs=())
    """

    name: str
    spec: LayerSpec
    inputs: tuple[str, ...] = ()


class NetworkGraph:
    """Immutable graph of named layers; graphs of equal name and layers, in any order, are equal.

    >>> from models.graph.layers import GlobalPool, Linear
    >>> graph = sequential("tiny", (3, 8, 8), GlobalPool(), Linear(10))
    >>> graph.shapes
    {'input': (3, 8, 8), 'global_pool1': (3, 1, 1), 'linear2': (10, 1, 1)}
    """

    def __init__(self, name: str, layers: Iterable[Layer]) -> None:
        """Check the layers' names and edges, and build the graph.

        Raises ModelError for a bad or duplicate layer name, an unknown input or a cycle. The
        graph's ``name`` is not checked.
        """
        self.name = name
        graph = nx.DiGraph()
        given = list(layers)
        for layer in given:
            if not _NAME.fullmatch(layer.name):
                raise ModelError(
                    f"layer name {layer.name!r} must be a letter followed by letters, digits, "
                    "'_', '.' or '-'"
                )
            if layer.name in graph:
                raise ModelError(f"two layers are named {layer.name!r}; names must differ")
            graph.add_node(layer.name, layer=layer)
        for layer in given:
            for source in layer.inputs:
                if source not in graph:
                    known = nearest(source, graph)
                    raise ModelError(f"layer {layer.name} reads {quoted(source)}; {known}")
                graph.add_edge(source, layer.name)
        if not nx.is_directed_acyclic_graph(graph):
            cycle = " -> ".join(edge[0] for edge in nx.find_cycle(graph))
            raise ModelError(f"the layers {printable(cycle, LONGEST_CYCLE)} form a cycle")
        self.nx = nx.freeze(graph)
        """Frozen DiGraph of layer names (attribute ``layer``: Layer); edges follow the data."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NetworkGraph):
            return NotImplemented
        return self.name == other.name and set(self.layers) == set(other.layers)

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.layers)))

    def __repr__(self) -> str:
        return f"NetworkGraph({self.name!r}, {list(self.layers)!r})"

    # Reading ---------------------------------------------------------------------------------

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, producers before consumers; otherwise in the order given."""
        position = {name: index for index, name in enumerate(self.nx)}
        order = nx.lexicographical_topological_sort(self.nx, key=position.__getitem__)
        return tuple(self.nx.nodes[name]["layer"] for name in order)

    def __getitem__(self, name: str) -> Layer:
        layer: Layer = self.nx.nodes[name]["layer"]
        return layer

    def __contains__(self, name: object) -> bool:
        return name in self.nx

    def consumers(self, name: str) -> tuple[str, ...]:
        """Return the names of the layers that read ``name``, each once."""
        return tuple(self.nx.successors(name))

    @property
    def input(self) -> Layer:
        """The only Input layer of a verified graph."""
        return next(layer for layer in self.layers if isinstance(layer.spec, Input))

    @property
    def output(self) -> Layer:
        """The only layer of a verified graph without consumers; it yields the logits."""
        return next(layer for layer in self.layers if not self.nx.out_degree(layer.name))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Output shape (channels, rows, columns) of every layer, by name.

        Raises ModelError naming a layer that does not fit.
        """
        shapes: dict[str, Shape] = {}
        for layer in self.layers:
            low, high = layer.spec.least_inputs, layer.spec.most_inputs
            count = len(layer.inputs)
            if count < low or (high is not None and count > high):
                wanted = f"{low}" if low == high else f"at least {low}"
                raise ModelError(
                    f"layer {layer.name}: {layer.spec.op} takes {wanted} inputs, not {count}"
                    f"{'; join them by add or concat before it' if count > low == 1 else ''}"
                )
            try:
                shapes[layer.name] = layer.spec.output_shape(
                    [shapes[source] for source in layer.inputs]
                )
            except ModelError as error:
                raise ModelError(f"layer {layer.name} ({layer.spec.op}): {error}") from None
        return shapes

    # Changing --------------------------------------------------------------------------------

    def edited(
        self,
        replace: Sequence[Layer] = (),
        insert: Sequence[Layer] = (),
        remove: Iterable[str] = (),
    ) -> NetworkGraph:
        """Return a graph with layers replaced by name, others inserted and some removed by name.

        A replaced layer keeps its place in the order, inserted ones come last, as far as producers
        before consumers allows. Unknown names in ``replace`` and ``remove`` are ignored; a name in
        both is removed. Raises ModelError if the result has a bad or duplicate layer name, an
        unknown input or a cycle.
        """
        new = {layer.name: layer for layer in replace}
        gone = set(remove)
        kept = [new.get(layer.name, layer) for layer in self.layers if layer.name not in gone]
        return NetworkGraph(self.name, [*kept, *insert])

    def rewired(self, rename: Callable[[str], str]) -> list[Layer]:
        """Return the layers in order, names unchanged, inputs' names passed through ``rename``."""
        return [
            Layer(layer.name, layer.spec, tuple(rename(source) for source in layer.inputs))
            for layer in self.layers
        ]

    def fresh_name(self, wish: str) -> str:
        """Return ``wish``, or if it is taken the first free one of ``wish_2``, ``wish_3``, ..."""
        name, number = wish, 2
        while name in self:
            name, number = f"{wish}_{number}", number + 1
        return name


def sequential(name: str, shape: Shape, *specs: LayerSpec) -> NetworkGraph:
    """Build a chain: ``input``, then the specifications, named operator and number (from 1).

    shape: of the input, (channels, rows, columns). Raises ModelError for an impossible one; the
    graph is not verified.
    """
    layers = [Layer("input", Input(shape))]
    for index, spec in enumerate(specs, start=1):
        layers.append(Layer(f"{spec.op}{index}", spec, (layers[-1].name,)))
    return NetworkGraph(name, layers)
