"""Build folders of imported networks, which are neither trained nor lowered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


def write(
    design: ImportedDesign,
    lowered: Lowered,
    network: BuiltNetwork,
    data: TestData | None,
    out: Path,
    *,
    device: Device | None = None,
    images: int = pipeline.VECTOR_IMAGES,
    prefix: str = "",
    warn: Callable[[str], None] = lambda text: None,
) -> Judged | None:
    """Write the build folder of an imported network to ``out``, and return its accuracy, if known.

    network: the one that was lowered, as data sees it. data: examples for accuracy and vectors;
    None: vectors are random input levels by the design's seed, and no accuracy is reported. device,
    images, prefix, warn and errors: as for pipeline.write_build.
    """
    family = devices.family_of(device)
    estimate = prediction.estimate_plan(lowered.compiled.plan, design.clock_mhz, family)
    reports = {"estimate": estimate.to_dict()}
    found = other_data.evaluate(network, data) if data else None
    if data and isinstance(found, Evaluation):
        details = found.to_dict()
        reports["accuracy"] = {
            **found.shares,
            "dataset": data.name,
            "scores": details.pop("accuracy"),
            **details,
            "input": design.input.describe(),
        }
    split = data.split if data else random_split(network, images, design.seed)
    vectors = pipeline.vectors(lowered.integer, split, images)
    build_folder.build(
        design,
        lowered.compiled,
        vectors,
        out,
        device=device,
        reports=reports,
        prefix=prefix,
        warn=warn,
    )
    return found
