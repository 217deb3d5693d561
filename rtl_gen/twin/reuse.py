"""Column reuse in the twin: the same layer as a wider window, without a history.

A position's first new column comes with the two columns read before it (rtl_gen.blocks.history):
that is a kernel of two columns more, whose weights stand in two lanes of the narrow one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtl_gen.blocks.history import OLDER_COLUMNS, older_lanes
from rtl_gen.config import NpuConfig

Ints = NDArray[np.int64]


def columns(f: Mapping[str, int]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Position and kernel column of each tap, and whether there is one: all
    [drained columns, older and new columns].

    A row's walk reads column after column; what lies before its first one reads as padding.
    """
    new = f["kernel_cols"] + 1
    position = np.arange(f["reuse"] - 1, f["out_cols"] + 1)[:, None]
    walked = position * new + np.arange(-OLDER_COLUMNS, new)
    at, kernel = np.divmod(np.maximum(walked, 0), new)
    return at, kernel, walked >= 0


def widened(config: NpuConfig, weights: Ints, f: Mapping[str, int]) -> Ints:
    """Weights [taps, lanes, weight_columns] of a tile for the columns of ``columns``."""
    new = f["kernel_cols"] + 1
    narrow = weights.reshape(-1, new, config.lanes, config.weight_columns)
    wide = np.zeros((len(narrow), OLDER_COLUMNS + new, *narrow.shape[2:]), np.int64)
    wide[:, OLDER_COLUMNS:] = narrow
    for column in range(config.columns):
        for age, lane in enumerate(older_lanes(config.lanes, column), start=1):
            moved = narrow[:, 0, lane, column]
            wide[:, OLDER_COLUMNS - age, column % config.lanes, column] = moved
            wide[:, OLDER_COLUMNS, lane, column] = 0
    return wide.reshape(-1, config.lanes, config.weight_columns)
