"""Live table of a search: one row after each short training, as ``codesign explore`` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codesign.cli.console import duration

if TYPE_CHECKING:
    from codesign.explore import Standing

_CELLS = "{:>8}  {:>7}  {:>11}  {:>8}  {:<20.20}  {:>9}  {}"
HEAD = _CELLS.format(
    "trained", "best", "hypervolume", "feasible", "missed most", "left", "best network"
)


def row(standing: Standing) -> str:
    """Return the row of a standing, under HEAD. Its hypervolume is in images per second.

    The limit that most of the designs estimated miss is told with their share.
    """
    limit, share = max(standing.pruned.items(), key=lambda one: one[1], default=("", 0.0))
    return _CELLS.format(
        f"{standing.trained}/{standing.networks}",
        f"{100 * standing.best_accuracy:.1f} %",
        f"{standing.hypervolume:,.0f}",
        f"{100 * standing.feasible_share:.3g} %",
        f"{limit} {100 * share:.0f} %" if share else "none",
        "" if standing.left_s is None else duration(standing.left_s),
        standing.best,
    )
