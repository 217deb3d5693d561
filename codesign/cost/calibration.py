"""The area model for the user's own flow: what its reports come to over the estimates.

A flow (another synthesiser, another family, other options) takes a resource by a factor of what
the reference flow takes, more or less from design to design. The factor is the geometric mean over
the reports; the interval of a further design is Student's t for their number, on top of the
model's own.
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
LEAST_DEVIATION = 0.005
"""Of a log factor: two reports that happen to agree do not make a flow exact."""
NEAR = 1.1
"""A number of reports is enough when more could make the interval narrower by less than this."""
MOST = 30


@dataclass(frozen=True)
class Fitted:
    """What the reports made of one resource."""

    calibration: Calibration
    before: tuple[float, float]
    """Relative ends of the 90 % interval of the reports' median design, e.g. (-0.02, 0.02)."""
    after: tuple[float, float]
    enough: int
    """Reports after which further ones gain little."""


def calibrate(
    model: AreaModel, reports: Sequence[tuple[NpuConfig, Figures]]
) -> tuple[AreaModel, dict[str, Fitted]]:
    """``model`` for the flow of the reports, and what changed by resource.

    A resource that a report does not mention is not calibrated. Raises UserError for fewer than
    FEWEST reports, or for none that says how many LUTs there are.
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
    """Reports from which on the interval of a further design is within NEAR of the narrowest."""
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
    """JSON form."""
    return {name: dataclasses.asdict(one) for name, one in fitted.items()}
