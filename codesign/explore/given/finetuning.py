"""Fine-tuning of the finalists of a search that starts from a network with weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.build import pipeline
from codesign.design import Design
from codesign.explore.given.loading import GivenNetwork
from codesign.prediction import plan_design
from codesign.tools import caches
from models.data.datasets import Dataset

if TYPE_CHECKING:
    from models.training.loop import Progress
    from models.training.schedule import TrainSettings
    from models.training.trained import TrainedNetwork

LEARNING_RATE = 1e-3
"""Peak rate of fine-tuning, a quarter of that of a training from scratch."""


def settings_of(design: Design, dataset: Dataset, epochs: int, boo: float) -> TrainSettings:
    """Return the settings of a fine-tuning, whose epochs all are quantised; epochs: 1 or more."""
    return dataclasses.replace(
        pipeline.settings_of(design, dataset, epochs, boo),
        float_share=0.0,
        learning_rate=LEARNING_RATE,
        quantised_rate_share=1.0,
    )


def finetune(
    given: GivenNetwork,
    start: TrainedNetwork,
    design: Design,
    dataset: Dataset,
    settings: TrainSettings,
    checkpoint: Path,
    progress: Progress,
) -> TrainedNetwork:
    """Go on training a quantised network of the design towards the float network's answers.

    checkpoint: written after each epoch; an existing one is continued. Raises InfeasibleError if
    the NPU cannot run the network, ModelError.
    """
    from models.calibration import loading  # torch takes seconds to import
    from models.calibration.distillation import FineTuning
    from models.training.loop import train

    plan_design(design)
    caches.keep_torch_code()
    floating = given.fitted[design.quantisation.input_bits].network
    teacher = loading.load(floating, design.quantisation, settings.scale_bits)
    return train(
        design.network, design.quantisation, dataset, settings,
        tuning=FineTuning(start, teacher), checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
