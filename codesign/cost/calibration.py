"""Calibration of the area model for another synthesis flow, from utilisation reports.

A flow (another synthesiser, FPGA family or option set) is modelled per resource by a log-normal
ratio to the estimate for the reference flow. Its median is the geometric mean over the reports. The
half width of a further design's log interval is the root of the sum of two squares: the model's own
and that of Student's t interval for that number of reports.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.cost.area.blocks import RESOURCES
from codesign.cost.area.model import COVERAGE, AreaModel, Calibration
from codesign.cost.table import ConfigTable
from codesign.results import Figures, UserError
from rtl_gen.config import NpuConfig

FEWEST = 2
"""Smallest number of reports that calibration accepts."""
LEAST_DEVIATION = 0.005
"""Lower limit of the standard deviation of the log ratio: few reports may agree by chance."""
MOST_COUNT = 10**9
"""Largest count of a resource that a report may have."""
NEAR = 1.1
"""Reports are enough once the interval is at most this many times as wide as with very many."""
MOST = 30
"""Upper limit of the number of reports that ``enough`` returns."""


@dataclass(frozen=True)
class Fitted:
    """Calibration of one resource and its effect on intervals. Made by ``calibrate``."""

    calibration: Calibration
    before: tuple[float, float]
    """Ends of the 90 % interval without it, relative to the estimate, e.g. (-0.02, 0.02).

    The design is the one of the reports with the median estimate of LUTs, the upper of two."""
    after: tuple[float, float]
    """Ends of the 90 % interval of the same design with it, relative to the calibrated estimate."""
    enough: int
    """Number of reports beyond which further ones narrow the interval little."""


def calibrate(
    model: AreaModel, reports: Sequence[tuple[NpuConfig, Figures]]
) -> tuple[AreaModel, dict[str, Fitted]]:
    """Return ``model`` calibrated for the flow of the reports, and what was fitted per resource.

    Reports are NPUs with their resources, as that flow reports them. Earlier calibration of
    ``model`` is replaced. A resource (of RESOURCES) that is missing or 0 in some report is not
    calibrated. Raises UserError for fewer than FEWEST reports, for two of the same NPU, for counts
    beyond 0..MOST_COUNT, and if the number of LUTs is missing or 0 in a report.
    """
    if len(reports) < FEWEST:
        raise UserError(
            f"calibration needs {FEWEST} reports of different designs at least, not {len(reports)}"
        )
    if len({config.hash for config, _ in reports}) < len(reports):
        raise UserError("two reports are of the same NPU: one says nothing more than the other")
    plain = dataclasses.replace(model, flow={})
    table = ConfigTable.of([config for config, _ in reports])
    estimate = plain.estimate(table)
    flow: dict[str, Calibration] = {}
    for name in RESOURCES:
        values = [getattr(figures, name) for _, figures in reports]
        bad = [value for value in values if value is not None and not 0 <= value <= MOST_COUNT]
        if bad:
            raise UserError(f"a report has {bad[0]:g} {name}; counts are 0..{MOST_COUNT}")
        if all(value for value in values):
            ratios = np.log(np.array(values, dtype=np.float64) / getattr(estimate, name))
            deviation = max(float(ratios.std(ddof=1)), LEAST_DEVIATION)
            flow[name] = Calibration(float(np.exp(ratios.mean())), deviation, len(ratios))
    if "luts" not in flow:
        raise UserError("no calibration: a report does not say how many LUTs are used")
    fitted = dataclasses.replace(model, flow=flow)
    after = fitted.estimate(table)
    middle = int(np.argsort(estimate.luts)[len(reports) // 2])

    def ends(found: object, name: str) -> tuple[float, float]:
        low, high = (getattr(found, end)[name][middle] for end in ("low", "high"))
        centre = getattr(found, name)[middle]
        return float(low / centre - 1), float(high / centre - 1)

    return fitted, {
        name: Fitted(one, ends(estimate, name), ends(after, name), enough())
        for name, one in flow.items()
    }


def enough() -> int:
    """Return the number of reports beyond which further ones narrow intervals little; up to MOST.

    It is the smallest whose interval is at most NEAR times as wide as that of 10,000 reports.
    """
    narrowest = Calibration(1.0, 1.0, 10_000).half(COVERAGE)
    return next(
        (
            n
            for n in range(FEWEST, MOST)
            if Calibration(1.0, 1.0, n).half(COVERAGE) <= NEAR * narrowest
        ),
        MOST,
    )


def to_dict(fitted: Mapping[str, Fitted]) -> dict[str, object]:
    """Return the JSON form of the second result of ``calibrate``: resource -> fields of Fitted."""
    return {name: dataclasses.asdict(one) for name, one in fitted.items()}
