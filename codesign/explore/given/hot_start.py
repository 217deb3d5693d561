"""Judging of bits for a network that exists: by each layer's cost first, by trials then."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.explore.approach import Keep
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.given import loading
from codesign.explore.given.loading import GivenNetwork
from codesign.explore.settings import ExploreSettings
from codesign.search.accuracy import measuring
from codesign.search.accuracy.quantising import Quantiser, Quantising
from codesign.search.accuracy.sensitivity import Losses, SensitivityBelief, log_odds
from codesign.search.crew import Evaluation
from codesign.search.engine import InnerSearch
from codesign.search.space.declaration import BitChoices, NpuChoices
from codesign.search.space.genome import Genome
from codesign.search.space.given import NetworkSpace
from codesign.search.store import TrialStore
from models.data.datasets import Dataset
from models.graph.layers import Conv2d
from rtl_gen.parameters import DEPTHWISE_TAPS

MEASURED = "sensitivity"
"""Attribute of a study: what each layer's bits cost, found out before the first trial."""
FIRST_EVALUATIONS = 1024
"""Designs estimated to know that one fits, before anything is measured."""
KNOWN = (
    "validation images are of the data set's training part: where the network was trained on them, "
    "their accuracies are higher than those of new images, such as the test part"
)
Told = Callable[[str, float, float, str], None]


@dataclass(frozen=True, eq=False)
class HotStart:
    """Bits, sparsity and NPU for a network with weights. Made by ``explore``."""

    given: GivenNetwork
    how: Quantising
    dataset: Dataset
    """The part of the data set that ``how.subset`` returns."""
    progress: Told

    @classmethod
    def of(
        cls, settings: ExploreSettings, dataset: Dataset, bits: BitChoices, progress: Told
    ) -> HotStart:
        """Return the start from ``settings.network``. Raises as ``loading.load`` does."""
        assert settings.network is not None
        given = loading.load(Path(settings.network), dataset, bits.input)
        how = Quantising.of(dataset, settings.seed)
        return cls(given, how, how.subset(dataset), progress)

    def space(self, bits: BitChoices, npu: NpuChoices) -> NetworkSpace:
        """Return the space of the network's quantisations and NPUs of these choices.

        Kernel columns that depthwise layers compute at once are a choice where there are any.
        """
        fitted, graph = self.given.fitted, self.given.widest.network.graph
        zero_points = {bits: one.zero_point for bits, one in fitted.items() if one.zero_point}
        bits = dataclasses.replace(bits, input=tuple(one for one in bits.input if one in fitted))
        if any(isinstance(one.spec, Conv2d) and one.spec.groups > 1 for one in graph.layers):
            npu = dataclasses.replace(npu, depthwise_taps=DEPTHWISE_TAPS)
        return NetworkSpace(graph, self.given.sha256, npu, bits, zero_points)

    def belief(self, inner: InnerSearch, open_store: Callable[[], TrialStore]) -> SensitivityBelief:
        """Return what the bits of each layer cost, measured once a search and noted in its study.

        Nothing is measured where no design fits the budget.
        """
        space = inner.problem.space
        assert isinstance(space, NetworkSpace)
        found = inner.run(lambda layers: layers.weight_bits.sum(axis=1) * 1.0, FIRST_EVALUATIONS)
        if not found.feasible.any():
            return SensitivityBelief(0.0, Losses.of_genes(space, {}), self.how.validation_images)
        store = open_store()
        noted = store.noted(MEASURED)
        if noted is None:
            noted = measuring.measure(
                space, self.given.fitted, self.dataset,
                lambda done, total: self.progress("sensitivity", done, total, ""),
            )  # fmt: skip
            store.note(MEASURED, noted)
        return self._believed(space, noted)

    def _believed(self, space: NetworkSpace, noted: dict[str, Any]) -> SensitivityBelief:
        images = self.how.validation_images
        base = float(log_odds(np.array(noted["accuracy"]), images))
        return SensitivityBelief(base, Losses.of_genes(space, noted["costs"]), images)

    def trainer(self, space: Genome, dataset: Dataset, keep: Keep) -> Evaluation:
        """Return the trial: quantisation after training."""
        assert isinstance(space, NetworkSpace)
        return Quantiser(space, self.given.fitted, dataset, self.how, keep)

    def finishing(self, wanted: FinishSettings) -> FinishSettings:
        """Return the settings of the part behind the search: fine-tuning, and what is to be kept.

        The accuracy that a design may lose is taken from that of the float network on all
        validation images.
        """
        lost, notes = wanted.settings.keep_accuracy, (KNOWN,)
        if lost is None:
            return dataclasses.replace(wanted, given=self.given, notes=notes)
        accuracy = measuring.float_accuracy(self.given.widest, wanted.dataset.validation)
        least = max(accuracy - lost, 0.0)
        kept = (
            f"the float network has {100 * accuracy:.2f} % on the validation images: designs with "
            f"{100 * least:.2f} % or more are accepted"
        )
        return dataclasses.replace(
            wanted, given=self.given, notes=(*notes, kept), least_accuracy=least
        )
