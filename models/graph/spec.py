"""The base of all layer specifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from models.graph.windows import Shape


@dataclass(frozen=True)
class LayerSpec:
    """Base class of all layer specifications; constructors raise ModelError for a bad field.

    Types of the flags ``relu`` and ``batch_norm`` are not checked.

    >>> from models.graph.layers import OPS
    >>> [spec.op for spec in OPS.values() if spec.most_inputs is None]
    ['add', 'concat']
    """

    op: ClassVar[str]
    """Name of the operator in YAML files and reports."""
    least_inputs: ClassVar[int] = 1
    """Smallest number of inputs."""
    most_inputs: ClassVar[int | None] = 1
    """Largest number of inputs; None: no limit."""

    def output_shape(self, inputs: Sequence[Shape]) -> Shape:
        """Return the output shape for these input shapes, all (channels, rows, columns).

        The number of inputs must be an allowed one (not checked). Raises ModelError for shapes that
        do not fit.
        """
        return inputs[0]
