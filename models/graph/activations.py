"""Activation functions that hardware looks up in tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.graph.spec import LayerSpec

Reals = NDArray[np.float64]


def _sigmoid(x: Reals) -> Reals:
    half: Reals = 0.5 * (1 + np.tanh(0.5 * x))
    return half


def _softplus(x: Reals) -> Reals:
    found: Reals = np.logaddexp(0, x)
    return found


def _gelu(x: Reals) -> Reals:
    found: Reals = 0.5 * x * (1 + np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2)))
    return found


def _gelu_tanh(x: Reals) -> Reals:
    found: Reals = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return found


FUNCTIONS: Mapping[str, Callable[[Reals], Reals]] = {
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": _softplus,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "quarter_square": lambda x: x * x / 4,
    "minus_quarter_square": lambda x: -x * x / 4,
    "sixteenth_square": lambda x: x * x / 16,
    "minus_sixteenth_square": lambda x: -x * x / 16,
}
"""Function of real values, elementwise, by its name in YAML files."""
POSITIVE = ("sigmoid", "softplus", "quarter_square", "sixteenth_square")
"""Functions that have no negative values."""


@dataclass(frozen=True)
class Activation(LayerSpec):
    """Activation function of each value, looked up in a table by the codes before it.

    function: its name, one of FUNCTIONS. table: name of a table that activations of one function
    share: the codes before all of them have one scale, as have those behind them, so that an NPU
    has room for many; "" for a table of its own.

    >>> Activation("silu").output_shape([(16, 8, 8)])
    (16, 8, 8)
    """

    op: ClassVar[str] = "activation"
    function: str
    table: str = ""

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise ModelError(f"function must be one of {known}, not {self.function!r}")
