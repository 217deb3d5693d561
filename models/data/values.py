"""The mapping from a user's values to the 256 input levels that training and hardware start from.

One affine map for all parts of a data set, found on the training part: ``low`` becomes level 0,
``high`` becomes level 255, values beyond are clipped. It is recorded in the design, so training,
rebuilding, driver and every command use the same one. The network's input bits then quantise levels
to codes (docs/explanation/arithmetic.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetError

LEVELS = 256
_LARGEST = 1e300
PIXEL_HIGH = 255
BRIGHT = 127
"""Training values of dtype uint8 with one above this are pictures of the full range 0..255."""
TAIL_PERCENT = 0.1
"""Real values with outliers are clipped below this percentile and above 100 less it."""
WIDE_STDS = 8.0
"""Real values whose range is more standard deviations than this count as ones with outliers."""
FEW_LEVELS = 32
SCALES_DIFFER = 4
"""Channels get a range each where the widest range is more times the narrowest's than this."""
MOST_CLIPPED = 0.01
"""Share (0..1) of values outside a range above which a note says so."""
LEAST_SPAN = 0.1
"""Share (0..1) of a range for all channels that values must span; less, and a note says so."""


@dataclass(frozen=True)
class InputRange:
    """The values that become level 0 (low) and level 255 (high): for all, or for each channel.

    low, high: one value, or one for each channel. Raises DatasetError unless each low is less than
    its high, both finite, by no less than 1e-300 and no more than 1e300.

    >>> import numpy as np
    >>> InputRange.of(0, 16).levels(np.array([0, 8, 16, 20]).reshape(4, 1, 1, 1)).ravel().tolist()
    [0, 128, 255, 255]
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not self.low:
            raise DatasetError("input: low and high must have one value, or one for each channel")
        if not np.isfinite([*self.low, *self.high]).all():
            raise DatasetError("input: low and high must be finite numbers")
        for low, high in zip(self.low, self.high, strict=True):
            if low >= high:
                raise DatasetError(f"input: low must be less than high, not {low:g} and {high:g}")
            if not 1 / _LARGEST <= high - low <= _LARGEST:
                raise DatasetError(
                    f"input: high less low must be {1 / _LARGEST:g} to {_LARGEST:g}, not "
                    f"{low:g}..{high:g}: scale the values"
                )

    @classmethod
    def of(cls, low: float, high: float) -> InputRange:
        """One range for all channels."""
        return cls((float(low),), (float(high),))

    @property
    def is_pixels(self) -> bool:
        """True if the range is that of 8-bit pixels, whose uint8 values are levels already."""
        return self == PIXELS

    def check(self, channels: int) -> None:
        """Raise DatasetError unless there is one range for all, or one for each channel.

        channels: number of channels of the data.
        """
        if len(self.low) not in (1, channels):
            raise DatasetError(
                f"input: low and high have {len(self.low)} values, the data has {channels} channels"
            )

    def levels(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return levels uint8 of values (n, channels, rows, columns), clipped, rounded half up.

        Pixels that are levels already are returned themselves, not copied. Raises DatasetError as
        ``check`` does.
        """
        if self.is_pixels and values.dtype == np.uint8:
            return values
        self.check(values.shape[1])
        if values.dtype == np.uint8:  # by table: a large data set takes no memory as reals
            every = np.arange(LEVELS).repeat(values.shape[1]).reshape(LEVELS, -1, 1, 1)
            table = self.levels(every)[:, :, 0, 0]
            return np.stack([table[values[:, c], c] for c in range(values.shape[1])], axis=1)
        low, high = (np.array(end)[:, None, None] for end in (self.low, self.high))
        with np.errstate(over="ignore"):  # infinite is clipped
            scaled = (values.astype(np.float64) - low) * (PIXEL_HIGH / (high - low))
        return np.floor(np.clip(scaled, 0, PIXEL_HIGH) + 0.5).astype(np.uint8)

    def clipped(self, values: NDArray[Any]) -> float:
        """Return the share, 0..1, of ``values`` that is outside low..high; 0 if empty.

        values: (n, channels, rows, columns).
        """
        if self.is_pixels and values.dtype == np.uint8:
            return 0.0
        low, high = (np.array(end)[:, None, None] for end in (self.low, self.high))
        return float(((values < low) | (values > high)).mean()) if values.size else 0.0

    def in_pixels(self, pixels: InputRange) -> InputRange:
        """Return the range in pixels, where pixel 0 counts ``pixels.low`` and 255 ``pixels.high``.

        >>> InputRange.of(-1, 1).in_pixels(InputRange.of(-1, 3))
        InputRange(low=(0.0,), high=(127.5,))
        """
        count = max(len(self.low), len(pixels.low))
        start, end = (np.broadcast_to(np.array(one), count) for one in (pixels.low, pixels.high))
        low, high = (
            (np.broadcast_to(np.array(one), count) - start) * (PIXEL_HIGH / (end - start))
            for one in (self.low, self.high)
        )
        return InputRange(tuple(low.tolist()), tuple(high.tolist()))

    def doubts(self, values: NDArray[Any], what: str) -> list[str]:
        """Return at most one note on values that the range does not suit.

        values: (n, channels, rows, columns), at least one. Noted is a share above MOST_CLIPPED
        outside the range; else, with one range for all channels, values that differ but span less
        than LEAST_SPAN of it. what: of what the values are, for the note.
        """
        outside = self.clipped(values)
        if outside > MOST_CLIPPED:
            return [
                f"{100 * outside:.0f} % of the values of {what} lie outside the input "
                f"range, {self.describe()}, and are clipped"
            ]
        low, high = float(values.min()), float(values.max())
        if len(self.low) == 1 and 0 < high - low < LEAST_SPAN * (self.high[0] - self.low[0]):
            return [
                f"the values of {what}, {low:g}..{high:g}, fill little of the input "
                f"range, {self.describe()}"
            ]
        return []

    def describe(self) -> str:
        """Return the range in a few words, for notes and reports.

        It is such as ``0..255``, or says for how many channels there are ranges.
        """
        if len(self.low) == 1:
            return f"{self.low[0]:g}..{self.high[0]:g}"
        return f"one range for each of {len(self.low)} channels"


PIXELS = InputRange.of(0, PIXEL_HIGH)


def check_finite(values: NDArray[Any], where: str) -> None:
    """Raise DatasetError for values (n, ...) that are no numbers, or NaN or infinite.

    where: what messages name.
    """
    if values.dtype.kind not in "biuf":
        raise DatasetError(f"{where}: must hold numbers, not {values.dtype}")
    if values.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(bad):
            raise DatasetError(
                f"{where}: {len(bad)} of {len(values)} examples hold NaN or infinite values, "
                f"the first is number {bad[0]}"
            )


def are_pixels(values: NDArray[Any]) -> bool:
    """Return True for arrays taken as 8-bit pixels: uint8 with a value above BRIGHT."""
    return values.dtype == np.uint8 and int(values.max(initial=0)) > BRIGHT


def find_range(train: NDArray[Any]) -> tuple[InputRange, list[str]]:
    """Return the range of training values, with notes on what was guessed.

    train: (n, channels, rows, columns). Booleans get 0..1; uint8 with a value above BRIGHT are
    pixels, 0..255. Others get a range for each channel where the channels' scales differ, or where
    they are features (one pixel) and real; integers only where they span more than LEVELS. Else
    reals in 0..1 or -1..1 whose largest is above 0.5 keep that range, and the one range of integers
    starts at 0, or at the smallest value if that is negative or they span less than a quarter of
    the largest. Booleans and pixels get no note.
    """
    low, high = float(train.min()), float(train.max())
    integer = train.dtype.kind in "iu"
    if train.dtype.kind == "b":
        return InputRange.of(0, 1), []
    if are_pixels(train):
        return PIXELS, []
    mapped = None if integer and high - low < LEVELS else _by_channel(train)
    if mapped is not None:
        found = mapped
    elif integer:
        start = low if low < 0 or high - low < high / SCALES_DIFFER else 0.0
        found = InputRange.of(start, max(high, start + 1))
    elif low >= -1 and 0.5 < high <= 1:
        found = InputRange.of(-1 if low < 0 else 0, 1)
    else:
        found = InputRange.of(*_ends(train.ravel()))
    note = (
        f"values are mapped from {found.describe()}, as found in the training part, to {LEVELS} "
        "input levels"
    )
    outside = found.clipped(train)
    clipped = [f"{100 * outside:.2g} % of the training values lie outside that range"]
    return found, [note, *(clipped if outside else [])]


def _by_channel(train: NDArray[Any]) -> InputRange | None:
    """Return a range for each channel, without outliers, or None where one for all is better.

    train: integers or reals (n, channels, rows, columns). There is one for each channel where an
    example is one real pixel of several channels, or the channels' scales differ (SCALES_DIFFER;
    constant channels do not count).
    """
    single = train.shape[2:] == (1, 1) and train.shape[1] > 1 and train.dtype.kind == "f"
    ends = np.array([_ends(train[:, channel].ravel()) for channel in range(train.shape[1])])
    varying = [channel.min() < channel.max() for channel in train.swapaxes(0, 1)]
    spans = (ends[:, 1] - ends[:, 0])[varying]
    if single or (len(spans) and spans.max() > SCALES_DIFFER * spans.min()):
        return InputRange(tuple(ends[:, 0].tolist()), tuple(ends[:, 1].tolist()))
    return None


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and the largest value without outliers; of equal ones the latter is more.

    values: (n,). Where they span more than WIDE_STDS standard deviations, TAIL_PERCENT of them at
    each end are left out.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low, low + max(1.0, float(np.spacing(abs(low))))
    InputRange.of(low, high)  # raises for a span that no arithmetic can take
    real = values.astype(np.float64)
    if 1 > WIDE_STDS * float((real / (high - low)).std()) > 0:  # of values that overflow nothing
        tails = np.percentile(real, (TAIL_PERCENT, 100 - TAIL_PERCENT))
        if tails[1] > tails[0]:
            low, high = map(float, tails)
    return low, high


def doubts(levels: NDArray[np.uint8], input_bits: int = 8) -> list[str]:
    """Return warnings about training levels that hold little information.

    levels: (n, channels, rows, columns). Warned of are levels that are all equal, fewer different
    ones than a quarter of FEW_LEVELS or of 2**input_bits, whichever is less, and positions of an
    example that never vary.
    """
    used = len(np.unique(levels))
    found = []
    if used == 1:
        found.append("all inputs are equal: there is nothing to learn from")
    elif used < min(FEW_LEVELS, 1 << input_bits) // 4:
        found.append(
            f"the data uses {used} of {LEVELS} input levels: {(used - 1).bit_length()} bits"
        )
    still = int((levels.min(axis=0) == levels.max(axis=0)).sum())
    if used > 1 and still:
        found.append(f"{still} of {levels[0].size} input positions never vary in the training part")
    return found
