"""Clock of the stages of a run: its wall time, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class StageClock:
    """Wall time of the stages of a run, which do not overlap.

    >>> clock = StageClock()
    >>> with clock.timed("synthesis"):
    ...     pass
    >>> list(clock.seconds)
    ['synthesis']
    """

    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> wall time in seconds, in the order in which stages began to end."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall time of the ``with`` block to that of ``stage``, unless it raises."""
        start = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - start

    def account(self, wall_s: float) -> dict[str, float]:
        """Return the seconds of each stage, rounded, and last those of no stage, ``other``.

        wall_s: seconds of the whole run.

        >>> StageClock({"synthesis": 2.04}).account(wall_s=3.0)
        {'synthesis': 2.0, 'other': 1.0}
        """
        found = {**self.seconds, "other": wall_s - sum(self.seconds.values())}
        return {stage: round(spent, 1) for stage, spent in found.items()}
