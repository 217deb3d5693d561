"""Judging of changes to several networks that exist, one of which is to be chosen with them."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from codesign.cost.cycles.layers import LayerTable
from codesign.explore import search
from codesign.explore.approach import Keep
from codesign.explore.building import FinishedDesign
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.given.folders import LeftOut, Member
from codesign.explore.given.hot_start import REFINING, HotStart, Told, fits
from codesign.explore.settings import ExploreSettings
from codesign.explore.telling.reasons import nothing_fits
from codesign.search.accuracy.quantising import Quantising
from codesign.search.accuracy.zoo import ZooBelief, ZooQuantiser
from codesign.search.engine import InnerSearch, Problem, Score
from codesign.search.pareto import Floats
from codesign.search.problem import Evaluated
from codesign.search.refining import refine
from codesign.search.space.declaration import BitChoices, NpuChoices
from codesign.search.space.genome import Genome
from codesign.search.space.zoo import ZooSpace
from codesign.search.store import TrialStore
from models.data.datasets import Dataset


@dataclass(frozen=True, eq=False)
class Zoo:
    """Networks with weights, one of which is chosen with its changes. Made by ``explore``."""

    members: tuple[Member, ...]
    """Those that are searched, by number."""
    starts: tuple[HotStart, ...]
    """By number of the network."""
    left_out: tuple[LeftOut, ...]
    searches: tuple[InnerSearch, ...] = ()
    """The search of each network alone, on estimates, by number; made by ``within``."""
    least_share: ClassVar[float] = HotStart.least_share

    @classmethod
    def of(
        cls, settings: ExploreSettings, members: Sequence[Member], left_out: Sequence[LeftOut],
        progress: Told,
    ) -> Zoo:  # fmt: skip
        """Return the start from networks that ``read_all`` returned."""
        starts = tuple(HotStart.of(settings, one.given, progress) for one in members)
        return cls(tuple(members), starts, tuple(left_out))

    @property
    def how(self) -> Quantising:
        """Settings of the trials, the same for all networks."""
        return self.starts[0].how

    def space(self, bits: BitChoices, npu: NpuChoices) -> ZooSpace:
        """Return the space of what the moves make of the networks, and NPUs of these choices."""
        npu = functools.reduce(lambda choices, start: start.npu(choices), self.starts, npu)
        named = zip(self.members, self.starts, strict=True)
        return ZooSpace({one.name: start.space(bits, npu) for one, start in named})

    def within(self, problem: Problem, settings: ExploreSettings) -> tuple[Zoo, Problem]:
        """Leave out networks of which no design is found within the budget, unless it is all.

        problem: of ``space``. Each network is searched alone, on estimates, which is what goes on
        in ``refined``.
        """
        space = problem.space
        assert isinstance(space, ZooSpace)
        kept, left_out, searches = [], [*self.left_out], []
        for number, (member, own) in enumerate(zip(self.members, space.every_space, strict=True)):
            alone = dataclasses.replace(problem, space=own)
            inner = InnerSearch(alone, settings.strategy, settings.seed)
            searches.append(inner)
            if fits(inner):
                kept.append(number)
            else:
                why = "; ".join(map(str, nothing_fits(inner).reasons))
                left_out.append(LeftOut(member.path, f"none of its designs fits: {why}"))
        if not kept or len(kept) == len(self.members):
            return dataclasses.replace(self, searches=tuple(searches)), problem
        members = tuple(self.members[number] for number in kept)
        starts = tuple(self.starts[number] for number in kept)
        spaces = {self.members[number].name: space.every_space[number] for number in kept}
        fewer = dataclasses.replace(problem, space=ZooSpace(spaces))
        theirs = tuple(searches[number] for number in kept)
        return Zoo(members, starts, tuple(left_out), theirs), fewer

    def with_effort(self, effort: int) -> Zoo:
        """Return the approach as it is: its trials train little, whatever the time."""
        return self

    def belief(self, inner: InnerSearch, open_store: Callable[[], TrialStore]) -> ZooBelief:
        """Return what each change of each network costs, as ``HotStart.belief``."""
        space = inner.problem.space
        assert isinstance(space, ZooSpace)
        if not fits(inner):
            raise nothing_fits(inner)
        store = open_store()
        return ZooBelief(
            tuple(
                start.measured(own, store, name)
                for start, (name, own) in zip(self.starts, space.spaces.items(), strict=True)
            )
        )

    def refined(
        self, inner: InnerSearch, score: Score, pool: Evaluated, *, first: bool
    ) -> Evaluated:
        """Return ``pool`` with what a search of each network alone finds, as ``HotStart`` has it.

        Among designs of all networks those of one would drive out the others before these are as
        good as they get: large networks first meet a tight budget with changes that cost much.
        """
        space = inner.problem.space
        assert isinstance(space, ZooSpace)
        for number, alone in enumerate(self.searches):
            before = 0 if first else alone.evaluations  # the first ones were of ``within``

            def own_score(layers: LayerTable, number: int = number) -> Floats:
                return score(space.placed(layers, number))

            alone.run(own_score, search.EVALUATIONS[not first])
            found = refine(alone, own_score, REFINING, self.starts[0].prefer, first=first)
            genes = space.joined(found.candidates[found.feasible], number)
            inner.consider(genes, alone.evaluations - before - len(genes))
        return inner.feasible()

    def trainer(self, space: Genome, dataset: Dataset, keep: Keep) -> ZooQuantiser:
        """Return the trial: that of each network, on its own form of the data set."""
        assert isinstance(space, ZooSpace)
        subsets = {id(one.given.dataset): one.given.dataset for one in self.starts}
        drawn = {key: self.how.subset(whole) for key, whole in subsets.items()}
        return ZooQuantiser(
            space,
            tuple(
                start.trainer(own, drawn[id(start.given.dataset)], keep)
                for start, own in zip(self.starts, space.every_space, strict=True)
            ),
        )

    def finishing(self, wanted: FinishSettings) -> FinishSettings:
        """Return the settings of the part behind the search, as ``HotStart.finishing``.

        The accuracy that a design may lose is taken from the most accurate one of the networks
        that are searched, whichever the design is made of.
        """
        given = tuple(start.given for start in self.starts)
        found = dataclasses.replace(wanted, given=given, notes=tuple(self._notes()))
        if wanted.settings.keep_accuracy is None:
            return found
        accuracies = [start.float_accuracy() for start in self.starts]
        best = max(range(len(accuracies)), key=lambda number: accuracies[number])
        return found.keeping(accuracies[best], f"the float network {self.members[best].name}")

    def _notes(self) -> list[str]:
        """Return what is doubtful: of all networks, else with the network's name."""
        counts = Counter(note for start in self.starts for note in dict.fromkeys(start.notes))
        found: dict[str, None] = {}
        for member, start in zip(self.members, self.starts, strict=True):
            for note in start.notes:
                alike = counts[note] == len(self.starts)
                found[note if alike else f"{member.name}: {note}"] = None
        if self.left_out:
            names = ", ".join(one.name for one in self.left_out)
            found[f"left out of the zoo, for the reasons in summary.json: {names}"] = None
        return list(found)

    def summary(self, finished: FinishedDesign | None) -> dict[str, Any]:
        """Return as JSON values what was searched, what was left out, and what was chosen.

        finished: what the search ended with; None: with no design.
        """
        trained = finished.networks if finished else ()
        space = finished.problem.space if finished else None
        trials = Counter(space.start(one.candidate) for one in trained) if space else Counter()
        chosen = None
        if finished is not None and finished.option is not None:
            chosen = self.members[finished.problem.space.start(finished.option.candidate)].name
        return {
            "networks": [
                {"name": one.name, "path": one.path, "trials": trials[number]}
                for number, one in enumerate(self.members)
            ],
            "left_out": [dataclasses.asdict(one) for one in self.left_out],
            "chosen": chosen,
        }
