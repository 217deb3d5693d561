"""Build folders of imported networks, which are neither trained nor lowered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codesign import prediction
from codesign.build import build_folder, other_data, pipeline
from codesign.build.built import BuiltNetwork
from codesign.build.evaluation import Evaluation, Judged
from codesign.build.imported import ImportedDesign
from codesign.build.other_data import TestData
from codesign.build.pipeline import Lowered
from codesign.compiler import compile_network
from codesign.fpga import devices
from codesign.fpga.devices import Device
from models.data.datasets import Split
from models.integer.network import IntegerNetwork


def lower(design: ImportedDesign, network: IntegerNetwork) -> Lowered:
    """Compile an imported network for its NPU. Raises InfeasibleError when it does not fit."""
    return Lowered(network, compile_network(network, design.npu))


def random_split(network: BuiltNetwork, images: int, seed: int) -> Split:
    """Return ``images`` examples of random input levels; their labels, all 0, mean nothing."""
    levels = np.random.default_rng(seed).integers(0, 256, (images, *network.shape), np.uint8)
    return Split(levels, np.zeros(images, np.int64))


def judged_reports(
    design: ImportedDesign, network: BuiltNetwork, data: TestData
) -> tuple[Judged, dict[str, Any]]:
    """Return how good an imported network is on labelled data, and the reports that say so."""
    found = other_data.evaluate(network, data)
    if not isinstance(found, Evaluation):
        return found, {}
    details = found.to_dict()
    report = {
        **found.shares,
        "dataset": data.name,
        "scores": details.pop("accuracy"),
        **details,
        "input": design.input.describe(),
    }
    return found, {"accuracy": report}


def write(
    design: ImportedDesign,
    lowered: Lowered,
    split: Split,
    out: Path,
    *,
    device: Device | None = None,
    reports: Mapping[str, Any] | None = None,
    images: int = pipeline.VECTOR_IMAGES,
    prefix: str = "",
    warn: Callable[[str], None] = lambda text: None,
) -> None:
    """Write the build folder of an imported network to ``out``.

    split: examples for the vectors, whose labels are not looked at. reports: by name, the estimate
    is added. device, images, prefix, warn and errors: as for pipeline.write_build.
    """
    family = devices.family_of(device)
    estimate = prediction.estimate_plan(lowered.compiled.plan, design.clock_mhz, family)
    build_folder.build(
        design,
        lowered.compiled,
        pipeline.vectors(lowered.integer, split, images),
        out,
        device=device, reports={"estimate": estimate.to_dict(), **(reports or {})}, prefix=prefix,
        warn=warn,
    )  # fmt: skip
