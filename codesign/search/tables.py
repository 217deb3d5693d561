"""From candidates to the columns that cost models read, without building graphs.

``layer_table`` says what ``models.lower.shape_only(topology.network(...))`` lowers to.
"""

from __future__ import annotations

import numpy as np

from codesign.cost.layers import LayerTable
from codesign.search.space import Ints, SearchSpace
from models.quantisation import ADD_WEIGHT_BITS, ONES_WEIGHT_BITS


def layer_table(space: SearchSpace, candidates: Ints) -> LayerTable:
    """The MAC layers of candidates [n, genes]."""
    slots = space.max_stages * (space.max_convs + 1) + 3
    writer = _Writer(space, candidates, LayerTable.empty(len(candidates), slots))
    for stage in range(1, space.max_stages + 1):
        writer.stage(stage)
    writer.head()
    return writer.table


class _Writer:
    """Fills a table slot by slot; holds the tensor that the next layer reads, per candidate."""

    def __init__(self, space: SearchSpace, candidates: Ints, table: LayerTable) -> None:
        count = len(candidates)
        self.space, self.candidates, self.table = space, candidates, table
        self.slot = np.zeros(count, np.int64)
        self.every = np.arange(count)
        channels, rows, cols = space.shape
        self.channels = np.full(count, channels, np.int64)
        self.rows = np.full(count, rows, np.int64)
        self.cols = np.full(count, cols, np.int64)
        self.bits = self._gene("input_bits")
        self.average_bits = self.bits

    def _gene(self, name: str) -> Ints:
        return self.space.integers(self.candidates, name)

    def _is(self, name: str, word: str) -> np.ndarray:
        return np.asarray(self.space.values(self.candidates, name) == word)

    def _layer(self, active: np.ndarray, channels: Ints, rows: Ints, cols: Ints, bits: Ints,
               **numbers: Ints | int) -> None:  # fmt: skip
        """One layer for the candidates where ``active``, and its output as the next input."""
        where = self.every[active]
        columns: dict[str, Ints | int] = {
            "active": 1, "in_channels": self.channels, "in_rows": self.rows,
            "in_cols": self.cols, "in_bits": self.bits, "out_channels": channels,
            "out_rows": rows, "out_cols": cols, "out_bits": bits,
            "kernel_rows": 1, "kernel_cols": 1, "sources": 1, "stride": 1, "step": 1,
            "conv_rows": rows, "conv_cols": cols, "pool_area": 1,
        }  # fmt: skip
        columns.update(numbers)
        for name, value in columns.items():
            column = getattr(self.table, name)
            column[where, self.slot[where]] = (
                value[where] if isinstance(value, np.ndarray) else value
            )
        self.slot = self.slot + active
        self.channels = np.where(active, channels, self.channels)
        self.rows, self.cols = np.where(active, rows, self.rows), np.where(active, cols, self.cols)
        self.bits = np.where(active, bits, self.bits)

    def stage(self, stage: int) -> None:
        here = self._gene("stages") >= stage
        convs, kernel = self._gene(f"convs{stage}"), self._gene(f"kernel{stage}")
        channels = self._gene(f"channels{stage}")
        strided = self._is("pooling", "stride")
        residual = (convs >= 2) & (self._gene(f"residual{stage}") == 1)
        # Max pooling is part of the layer before it: the last convolution or the add.
        for conv in range(1, self.space.max_convs + 1):
            active = here & (convs >= conv)
            halved = strided & (conv == 1)
            pooled = ~strided & (convs == conv) & ~residual
            bits = self._gene(f"activation_bits{stage}.{conv}")
            step = np.where(halved | pooled, 2, 1)
            # Padding keeps odd sizes: a strided convolution rounds up, pooling down.
            conv_rows, conv_cols = (
                np.where(halved, -(-size // 2), size) for size in (self.rows, self.cols)
            )
            rows, cols = (np.where(pooled, size // 2, size) for size in (conv_rows, conv_cols))
            self._layer(
                active, channels, rows, cols, bits,
                kernel_rows=kernel, kernel_cols=kernel, step=step, stride=np.where(halved, 2, 1),
                conv_rows=conv_rows, conv_cols=conv_cols, pool_area=np.where(pooled, 4, 1),
                weight_bits=self._gene(f"weight_bits{stage}.{conv}"),
            )  # fmt: skip
            self.average_bits = np.where(active, bits, self.average_bits)
            if conv == 1:
                first_bits = bits
        step = np.where(strided, 1, 2)
        self.bits = np.where(here & residual, np.maximum(self.bits, first_bits), self.bits)
        self._layer(
            here & residual, channels, self.rows // step, self.cols // step, self.average_bits,
            diagonal=1, sources=2, skip=convs - 1, step=step, pool_area=np.where(strided, 1, 4),
            conv_rows=self.rows, conv_cols=self.cols,
            weight_bits=ADD_WEIGHT_BITS,
        )  # fmt: skip

    def head(self) -> None:
        one = np.ones_like(self.rows)
        hidden = self._gene("hidden")
        # The mean of a 1 x 1 map is lowered like any other.
        self._layer(
            self._is("head", "average"), self.channels, one, one, self.average_bits,
            kernel_rows=self.rows, kernel_cols=self.cols, diagonal=1, weight_bits=ONES_WEIGHT_BITS,
        )  # fmt: skip
        self._layer(
            hidden > 0, hidden, one, one, self._gene("activation_bits.hidden"),
            kernel_rows=self.rows, kernel_cols=self.cols,
            weight_bits=self._gene("weight_bits.hidden"),
        )  # fmt: skip
        self._layer(
            one == 1, one * self.space.classes, one, one, one * 32,
            kernel_rows=self.rows, kernel_cols=self.cols, raw=1,
            weight_bits=self._gene("weight_bits.classifier"),
        )  # fmt: skip
