"""Judging of bits for a network that exists: by each layer's cost first, by trials then."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.build import floating, imported, pipeline
from codesign.build.floating import Subject
from codesign.explore.approach import Keep
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.settings import ExploreSettings
from codesign.explore.telling.reasons import nothing_fits
from codesign.results import UserError
from codesign.search.accuracy import measuring
from codesign.search.accuracy.quantising import Quantiser, Quantising
from codesign.search.accuracy.sensitivity import Losses, SensitivityBelief, log_odds
from codesign.search.crew import Evaluation
from codesign.search.engine import InnerSearch, Score
from codesign.search.problem import Evaluated
from codesign.search.refining import refine
from codesign.search.space.declaration import BitChoices, NpuChoices
from codesign.search.space.genome import Genome
from codesign.search.space.given import NetworkSpace
from codesign.search.store import TrialStore
from models.data.datasets import Dataset
from models.graph.layers import Conv2d
from models.graph.yaml import graph_items
from models.importing.floating import FloatNetwork
from rtl_gen.parameters import DEPTHWISE_TAPS

MEASURED = "sensitivity"
"""Attribute of a study: what each layer's bits cost, found out before the first trial."""
FIRST_EVALUATIONS = 1024
"""Designs estimated to know that one fits, before anything is measured."""
REFINING = 16_000
"""Designs estimated near the front, before each round of trials."""
Told = Callable[[str, float, float, str], None]


@dataclass(frozen=True, eq=False)
class HotStart:
    """Bits, sparsity and NPU for a network with weights. Made by ``explore``."""

    given: Subject
    how: Quantising
    prefer: str
    """One of codesign.goals.PREFERENCES."""
    progress: Told

    @classmethod
    def of(cls, settings: ExploreSettings, given: Subject, progress: Told) -> HotStart:
        """Return the start from a network that ``read`` returned."""
        how = Quantising.of(given.dataset, settings.seed)
        return cls(given, how, settings.prefer, progress)

    def space(self, bits: BitChoices, npu: NpuChoices) -> NetworkSpace:
        """Return the space of the network's quantisations and NPUs of these choices.

        Kernel columns that depthwise layers compute at once are a choice where there are any.
        """
        network = self.given.network
        if any(
            isinstance(one.spec, Conv2d) and one.spec.groups > 1 for one in network.graph.layers
        ):
            npu = dataclasses.replace(npu, depthwise_taps=DEPTHWISE_TAPS)
        return NetworkSpace(network.graph, _sha256(network), npu, bits, self.given.zero_point)

    def with_effort(self, effort: int) -> HotStart:
        """Return the approach as it is: nothing is trained in its trials."""
        return self

    def belief(self, inner: InnerSearch, open_store: Callable[[], TrialStore]) -> SensitivityBelief:
        """Return what the bits of each layer cost, measured once a search and noted in its study.

        Raises InfeasibleError, before anything is measured, where no design fits the budget.
        """
        space = inner.problem.space
        assert isinstance(space, NetworkSpace)
        found = inner.run(lambda layers: layers.weight_bits.sum(axis=1) * 1.0, FIRST_EVALUATIONS)
        if not found.feasible.any():
            raise nothing_fits(inner)
        store = open_store()
        noted = store.noted(MEASURED)
        if noted is None:
            noted = measuring.measure(
                space, self.given.network, self.how.subset(self.given.dataset),
                lambda done, total: self.progress("sensitivity", done, total, ""),
            )  # fmt: skip
            store.note(MEASURED, noted)
        return self._believed(space, noted)

    def _believed(self, space: NetworkSpace, noted: dict[str, Any]) -> SensitivityBelief:
        images = self.how.validation_images
        base = float(log_odds(np.array(noted["accuracy"]), images))
        return SensitivityBelief(base, Losses.of_genes(space, noted["costs"]), images)

    def refined(
        self, inner: InnerSearch, score: Score, pool: Evaluated, *, first: bool
    ) -> Evaluated:
        """Return ``pool`` with the designs that ``refine`` finds near its front."""
        return refine(inner, score, REFINING, self.prefer, first=first)

    def trainer(self, space: Genome, dataset: Dataset, keep: Keep) -> Evaluation:
        """Return the trial: quantisation after training."""
        assert isinstance(space, NetworkSpace)
        return Quantiser(space, self.given.network, dataset, self.how, keep)

    def finishing(self, wanted: FinishSettings) -> FinishSettings:
        """Return the settings of the part behind the search: fine-tuning, and what is to be kept.

        The accuracy that a design may lose is taken from that of the float network on all
        validation images.
        """
        given, lost = self.given, wanted.settings.keep_accuracy
        if lost is None:
            return dataclasses.replace(wanted, given=given, notes=given.notes)
        accuracy = measuring.float_accuracy(
            given.network, given.zero_point, wanted.dataset.validation
        )
        least = max(accuracy - lost, 0.0)
        kept = (
            f"the float network has {100 * accuracy:.2f} % on the validation images: designs with "
            f"{100 * least:.2f} % or more are accepted"
        )
        return dataclasses.replace(
            wanted, given=given, notes=(*given.notes, kept), least_accuracy=least
        )


def read(settings: ExploreSettings, progress: Callable[[int, int], None]) -> Subject:
    """Return the float network of ``settings.network``, for the data set, which comes with it.

    That is a folder of an imported float network, or a file of weights that ``codesign train``
    wrote. Raises UserError for anything else, such as an integer network, whose bits are fixed;
    DatasetError, ModelError for images or classes that the network does not have, or too few images
    to calibrate with.
    """
    from models.calibration.calibrating import check_images  # torch takes seconds to import

    path = Path(settings.network or "")
    found = (
        _own(path, settings, progress) if path.is_file() else _imported(path, settings, progress)
    )
    for split in (found.dataset.train, found.dataset.validation):
        check_images(found.network.graph, split.images)
    return found


def _imported(
    path: Path, settings: ExploreSettings, progress: Callable[[int, int], None]
) -> Subject:
    """Return the float network of a network folder, as ``read`` does."""
    if not imported.is_network(path):
        raise UserError(
            f"{path} is no network folder (codesign import FILE --out DIR writes one), and no file "
            "of weights (codesign train)"
        )
    found = floating.network_of(path)
    if found.output.order is not None:
        raise UserError(f"{path}: the output's values lie otherwise than those of its last layer")
    return floating.prepare(
        found, settings.data, settings.data_dir, progress=progress, seed=settings.seed
    )


def _own(path: Path, settings: ExploreSettings, progress: Callable[[int, int], None]) -> Subject:
    """Return the network of a file of weights, whose bits are searched anew."""
    from models.calibration import own  # torch takes seconds to import
    from models.training.loop import check_match
    from models.training.trained import TrainedNetwork

    trained = TrainedNetwork.load(path)
    dataset = pipeline.load_data(settings.data, settings.data_dir, settings.seed, progress)
    network = own.float_network(trained)
    check_match(network.graph, dataset)
    mapping, zero_point = dataset.input_range, trained.quantisation.input_zero_point
    seen = (
        f"validation images are those of --seed {settings.seed}: a network that was trained with "
        "another one has seen some of them, which flatters validation accuracy"
    )
    return Subject(
        network.graph.name, network, zero_point, settings.data, dataset,
        None if mapping.is_pixels else mapping, (seen,),
    )  # fmt: skip


def _sha256(network: FloatNetwork) -> str:
    text = json.dumps([graph_items(network.graph), sorted(network.ceilings.items())], default=list)
    found = hashlib.sha256(text.encode())
    for name, values in sorted(network.weights.items()):
        found.update(name.encode() + values.tobytes())
    return found.hexdigest()
