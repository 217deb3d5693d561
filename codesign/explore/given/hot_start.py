"""Judging of changes to a network that exists: by each one's cost first, by trials then."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from codesign.build.floats.subjects import Subject
from codesign.explore.approach import Keep
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.settings import ExploreSettings
from codesign.explore.telling.reasons import nothing_fits
from codesign.search.accuracy import measuring
from codesign.search.accuracy.quantising import Quantiser, Quantising
from codesign.search.accuracy.sensitivity import Losses, SensitivityBelief, log_odds
from codesign.search.engine import InnerSearch, Score
from codesign.search.problem import Evaluated
from codesign.search.refining import refine
from codesign.search.space.choices import DENSE
from codesign.search.space.declaration import BitChoices, NpuChoices
from codesign.search.space.genome import Genome
from codesign.search.space.given import NetworkSpace
from codesign.search.store import TrialStore
from models.data.datasets import Dataset
from models.graph.layers import Conv2d
from models.graph.yaml import graph_items
from models.importing.floating import FloatNetwork
from rtl_gen.parameters import DEPTHWISE_TAPS

if TYPE_CHECKING:
    from models.calibration.cutting import Cutter

MEASURED = "sensitivity"
"""Attribute of a study: what each change costs, found out before the first trial."""
FIRST_EVALUATIONS = 1024
"""Designs estimated to know that one fits, before anything is measured."""
REFINING = 60_000
"""Designs estimated near the front, before each round of trials."""
Told = Callable[[str, float, float, str], None]


@dataclass(frozen=True, eq=False)
class HotStart:
    """Bits, channels, sparsity and NPU for a network with weights. Made by ``explore``."""

    given: Subject
    how: Quantising
    prefer: str
    """One of codesign.goals.PREFERENCES."""
    moves: tuple[str, ...]
    """Those of codesign.results.MOVES that may be made."""
    progress: Told
    least_share: ClassVar[float] = 0.9
    """Cuts and few bits make networks that are fast and have lost too much: not worth a trial."""

    @classmethod
    def of(cls, settings: ExploreSettings, given: Subject, progress: Told) -> HotStart:
        """Return the start from a network that ``read`` returned."""
        how = Quantising.of(given.dataset, settings.seed, tuned=settings.finetune > 0)
        moves = tuple(settings.moves.split(","))
        return cls(given, how, settings.prefer, moves, progress)

    @functools.cached_property
    def cutter(self) -> Cutter | None:
        """The cutter of the network's channels, by the images of calibration; None: no move."""
        if "channels" not in self.moves:
            return None
        from models.calibration.cutting import Cutter  # torch takes seconds to import

        subset = self.how.subset(self.given.dataset).train.spread(self.how.calibration_images)
        return Cutter.of(self.given.network, self.given.zero_point, subset.images)

    def space(self, bits: BitChoices, npu: NpuChoices) -> NetworkSpace:
        """Return the space of what the moves make of the network, and NPUs of these choices.

        Kernel columns that depthwise layers compute at once are a choice where there are any.
        """
        network, npu = self.given.network, self.npu(npu)
        if "bits" not in self.moves:
            widest = (measuring.WIDEST,)
            bits = BitChoices(widest, widest, widest, bits.sparsity)
        if "zeros" not in self.moves:
            bits = dataclasses.replace(bits, sparsity=(DENSE,))
        return NetworkSpace(
            network.graph, weights_sha256(network), npu, bits, self.given.zero_point,
            self.cutter.order if self.cutter else {},
        )  # fmt: skip

    def npu(self, npu: NpuChoices) -> NpuChoices:
        """Return choices of the NPU, to which the kernel columns of depthwise layers belong."""
        layers = self.given.network.graph.layers
        if any(isinstance(one.spec, Conv2d) and one.spec.groups > 1 for one in layers):
            return dataclasses.replace(npu, depthwise_taps=DEPTHWISE_TAPS)
        return npu

    def with_effort(self, effort: int) -> HotStart:
        """Return the approach as it is: its trials train little, whatever the time."""
        return self

    def belief(self, inner: InnerSearch, open_store: Callable[[], TrialStore]) -> SensitivityBelief:
        """Return what each change costs, measured once a search and noted in its study.

        Raises InfeasibleError, before anything is measured, where no design fits the budget.
        """
        space = inner.problem.space
        assert isinstance(space, NetworkSpace)
        if not fits(inner):
            raise nothing_fits(inner)
        return self.measured(space, open_store())

    def measured(self, space: NetworkSpace, store: TrialStore, name: str = "") -> SensitivityBelief:
        """Return what each change costs, as it is noted in the study, or is measured and noted.

        name: of the network, if it is one of several.
        """
        mark = f"{MEASURED} {name}".rstrip()
        noted: dict[str, Any] | None = store.noted(mark)
        if noted is None:
            noted = measuring.measure(
                space, self.given.network, self.cutter, self.how.subset(self.given.dataset),
                lambda done, total: self.progress("sensitivity", done, total, name),
            )  # fmt: skip
            store.note(mark, noted)
        images = self.how.validation_images
        base = float(log_odds(np.array(noted["accuracy"]), images))
        return SensitivityBelief(base, Losses.of_genes(space, noted["costs"]), images)

    def refined(
        self, inner: InnerSearch, score: Score, pool: Evaluated, *, first: bool
    ) -> Evaluated:
        """Return ``pool`` with the designs that ``refine`` finds near its front."""
        return refine(inner, score, REFINING, self.prefer, first=first)

    def trainer(self, space: Genome, dataset: Dataset, keep: Keep) -> Quantiser:
        """Return the trial: quantisation after training, and a little fine-tuning."""
        assert isinstance(space, NetworkSpace)
        return Quantiser(space, self.given.network, self.cutter, dataset, self.how, keep)

    def finishing(self, wanted: FinishSettings) -> FinishSettings:
        """Return the settings of the part behind the search: fine-tuning, and what is to be kept.

        The accuracy that a design may lose is taken from that of the float network on all
        validation images.
        """
        found = dataclasses.replace(wanted, given=(self.given,), notes=self.notes)
        if wanted.settings.keep_accuracy is None:
            return found
        return found.keeping(self.float_accuracy(), "the float network")

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing that is doubtful of the start."""
        if self.cutter is None:
            return self.given.notes
        images = self.how.calibration_images
        cut = f"which channels go first was found on {images} training images"
        return (*self.given.notes, cut)

    def float_accuracy(self) -> float:
        """Return the accuracy (0..1) of the float network on all validation images."""
        given = self.given
        return measuring.float_accuracy(given.network, given.zero_point, given.dataset.validation)


def fits(inner: InnerSearch) -> bool:
    """Return True if a search on estimates, which has only drawn its samples, finds a design."""
    found = inner.run(lambda layers: layers.weight_bits.sum(axis=1) * 1.0, FIRST_EVALUATIONS)
    return bool(found.feasible.any())


def weights_sha256(network: FloatNetwork) -> str:
    """Return a hash of a network's layers and weights."""
    text = json.dumps([graph_items(network.graph), sorted(network.ceilings.items())], default=list)
    found = hashlib.sha256(text.encode())
    for name, values in sorted(network.weights.items()):
        found.update(name.encode() + values.tobytes())
    return found.hexdigest()
