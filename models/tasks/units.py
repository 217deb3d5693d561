"""Units: numbers of any size as a network learns them, around 0 and about 1 large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.tasks.measures import Reals


@dataclass(frozen=True, eq=False)
class Units:
    """Numbers of the data are ``mean + unit * number`` of those that are learned.

    Made by ``Units.of``.

    All outputs share one unit, as the accumulators of the last layer share one step.
    """

    mean: Reals
    """Of each output channel, (channels,)."""
    unit: float
    spread: Reals
    """Standard deviation of each channel, (channels,); that of all where one does not vary."""

    @classmethod
    def of(cls, values: Reals, channels: int) -> Units:
        """Return the units of values (n, values), which lie channel by channel.

        >>> found = Units.of(np.array([[1.0, 40.0], [3.0, 60.0]]), channels=2)
        >>> found.mean.tolist(), found.spread.tolist(), round(found.unit, 3)
        ([2.0, 50.0], [1.0, 10.0], 7.106)
        """
        by_channel = values.reshape(len(values), channels, -1)
        variance = by_channel.var(axis=(0, 2))
        unit = float(np.sqrt(variance.mean())) or 1.0
        spread = np.where(variance > 0, np.sqrt(variance), unit)
        return cls(by_channel.mean(axis=(0, 2)), unit, spread)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: mean and standard_deviation of each channel, and the unit."""
        mean, spread = self.mean.tolist(), self.spread.tolist()
        return {"mean": mean, "standard_deviation": spread, "unit": self.unit}

    def learned(self, values: Reals) -> Reals:
        """Return values (n, values) of the data as they are learned."""
        found: Reals = (values - self._means(values)) / self.unit
        return found

    def real(self, values: Reals) -> Reals:
        """Return values (n, values) as they are learned in units of the data."""
        found: Reals = values * self.unit + self._means(values)
        return found

    def _means(self, values: Reals) -> Reals:
        return np.repeat(self.mean, values.shape[1] // len(self.mean))
