"""External memory as a remedy for on-chip memories that are too small, where it is one.

A memory port lets weights come from external memory, and ``memory_tiles`` feature maps as well.
Whether that removes a reason is found out by planning with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from codesign.results import Infeasible, InfeasibleError
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES

PORT_BITS = 32
"""Width of the memory port that is suggested where there is none."""
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "activation_depth": {"memory_tiles": True, "memory_port_bits": PORT_BITS},
    "weight_depth": {"memory_port_bits": PORT_BITS},
}
"""Memory that is too small -> parameters that may make up for it."""


def with_external_memory(
    reasons: Sequence[Infeasible],
    config: NpuConfig,
    depths_of: Callable[[NpuConfig], Mapping[str, int]],
) -> tuple[Infeasible, ...]:
    """Return ``reasons``, with the use of external memory among the levers of those it removes.

    depths_of: returns the memory depths that the network needs on an NPU with these options, or
    raises InfeasibleError.
    """
    return tuple(_with_lever(reason, config, depths_of) for reason in reasons)


def with_least_tiles(
    reasons: Sequence[Infeasible],
    config: NpuConfig,
    depths_of: Callable[[NpuConfig], Mapping[str, int]],
) -> tuple[Infeasible, ...]:
    """Return ``reasons``, with the least activation memory that tiles work in, if that is less.

    Without tiles a whole layer is what must fit it. The other reasons are then those against the
    NPU with tiles, and of no memory that was large enough before. depths_of: as for
    ``with_external_memory``.
    """
    known = {reason.resource for reason in reasons}
    whole = next((r for r in reasons if r.resource == "activation_depth"), None)
    if whole is None or not config.memory_tiles:
        return tuple(reasons)
    least, most = DEPTH_RANGES["activation_depth"]
    depth = max(least, 1 << config.activation_depth.bit_length())
    while depth <= most and depth < whole.need:
        others: tuple[Infeasible, ...] = ()
        try:
            depths_of(dataclasses.replace(config, activation_depth=depth))
        except InfeasibleError as error:
            others = error.reasons
        if {reason.resource for reason in others} <= known - {whole.resource}:
            deeper = f"raise npu.{whole.resource}"
            levers = (deeper, *(lever for lever in whole.levers if lever != deeper))
            return (dataclasses.replace(whole, need=depth, levers=levers), *others)
        depth *= 2
    return tuple(reasons)


def _with_lever(
    reason: Infeasible,
    config: NpuConfig,
    depths_of: Callable[[NpuConfig], Mapping[str, int]],
) -> Infeasible:
    wanted = _OPTIONS.get(reason.resource, {})
    changes = {name: value for name, value in wanted.items() if not getattr(config, name)}
    if not changes:
        return reason
    _, roomy = DEPTH_RANGES["program_depth"]
    option = dataclasses.replace(config, program_depth=roomy, **changes)
    try:
        needed = depths_of(option)["program_depth"]
    except InfeasibleError as error:
        # Reasons of other kinds are the reader's to remove as well; each has its own levers.
        if {found.resource for found in error.reasons} & {reason.resource, "program_depth"}:
            return reason
        needed = 0
    if needed > config.program_depth:
        changes["program_depth"] = needed
    lever = f"set {' and '.join(_settings(changes))}"
    place = int(f"raise npu.{reason.resource}" in reason.levers)  # cheaper where it is enough
    levers = (*reason.levers[:place], lever, *reason.levers[place:])
    return dataclasses.replace(reason, levers=levers)


def _settings(changes: Mapping[str, Any]) -> Iterator[str]:
    for name, value in changes.items():
        yield f"npu.{name} to {str(value).lower() if value is True else value}"
