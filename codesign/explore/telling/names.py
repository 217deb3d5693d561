"""Readable names: of networks, such as ``3 stages 24-48-96, w2-4 a3``, and of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codesign.search.pareto import Ints
from codesign.search.space.genome import Genome, network_key
from codesign.search.space.parameters import Choice
from rtl_gen.config import NpuConfig


def readable_names(space: Genome, candidates: Sequence[Ints]) -> list[str]:
    """Return a name for the network of each candidate, in order, which no other network has.

    A name is the space's (``Genome.label``). Networks that these do not tell apart are also named
    by the parameters in which they differ.
    """
    keys = [network_key(space, candidate) for candidate in candidates]
    params = {
        key: _network_params(space, candidate)
        for key, candidate in zip(keys, candidates, strict=True)
    }
    names = {key: space.label(one) for key, one in params.items()}
    for parameter in space.parameters:
        for key in _ambiguous(names, params, parameter.name):
            value = params[key].get(parameter.name)
            if value is not None:
                names[key] += f", {parameter.name} {_text(value)}"
    return [names[key] for key in keys]


def array_name(npu: NpuConfig) -> str:
    """Return the shape of an NPU's array as text: pixels x lanes x columns, bits of a digit.

    Behind it come the bits of its memory port, if it has one.
    """
    port = f" m{npu.memory_port_bits}" if npu.memory_port_bits else ""
    return f"{npu.pixels}x{npu.lanes}x{npu.columns} d{npu.weight_digit_bits}{port}"


def _ambiguous(
    names: Mapping[str, str], params: Mapping[str, Mapping[str, Choice]], parameter: str
) -> list[str]:
    """Return the networks whose name another has that differs from them in ``parameter``."""
    groups: dict[str, list[str]] = {}
    for key, name in names.items():
        groups.setdefault(name, []).append(key)
    return [
        key
        for group in groups.values()
        if len({params[one].get(parameter) for one in group}) > 1
        for key in group
    ]


def _network_params(space: Genome, candidate: Ints) -> dict[str, Choice]:
    """Return the active parameters of a candidate without those of its NPU."""
    npu = {space.parameters[gene].name for gene in space.npu_genes}
    return {name: value for name, value in space.params(candidate).items() if name not in npu}


def _text(value: Choice) -> str:
    """Return a choice as text: yes or no for a flag."""
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
