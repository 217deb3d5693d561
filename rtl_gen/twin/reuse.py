"""Depthwise column reuse in the twin, expressed as an ordinary layer with a wider kernel.

In the hardware a history supplies the two columns read before a position's first new one
(rtl_gen.blocks.history). That equals a kernel with two more columns, whose weights are stored in
two lanes of the narrow kernel. A layer with reuse has one channel word per kernel position.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtl_gen.blocks.history import OLDER_COLUMNS, older_lanes
from rtl_gen.config import NpuConfig

Ints = NDArray[np.int64]


def columns(f: Mapping[str, int]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return where in a row of positions each column of a position's wider kernel was read.

    f: the LAYER's fields. Three arrays of shape (n_drained_positions, OLDER_COLUMNS +
    n_new_columns), the oldest column first: the output position (int64) that read the column, its
    kernel column there (int64), and True where it exists. Columns before the first that the row
    reads do not exist; they are padding, with 0 in the other two arrays. (The hardware has padding
    for one such column only, so no weight but 0 may meet a second one.)
    """
    new = f["kernel_cols"] + 1
    position = np.arange(f["reuse"] - 1, f["out_cols"] + 1)[:, None]
    walked = position * new + np.arange(-OLDER_COLUMNS, new)
    at, kernel = np.divmod(np.maximum(walked, 0), new)
    return at, kernel, walked >= 0


def widened(config: NpuConfig, weights: Ints, f: Mapping[str, int]) -> Ints:
    """Return a tile's weights for the wider kernel whose columns ``columns`` gives.

    weights: int64 (kernel_rows * n_new_columns, lanes, weight_columns) as stored, kernel columns
    innermost; not changed. Result: int64 (kernel_rows * (OLDER_COLUMNS + n_new_columns), lanes,
    weight_columns), where the weights that the first new column stores in ``older_lanes`` are moved
    to the older columns. The column that ``binary_weights`` adds stays as it is.
    """
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
