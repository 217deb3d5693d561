"""Short trainings: which proposals they take, and how long ones of large images are trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.results import UserError
from codesign.search.accuracy.short_training import (
    LONG,
    LONG_NORM_SHARE,
    MOST_REPEATS,
    ShortTraining,
    TrainingTask,
    candidate_of,
    train_one,
)
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from codesign.search.trials import Proposal
from models.data import datasets
from models.errors import DivergedError
from models.graph.layers import Linear
from models.graph.network import sequential
from models.quantisation.plan import Quantisation
from models.training import choices, loop
from models.training.choices import TrainingChoices

HOW = ShortTraining(epochs=4, train_images=400, validation_images=100, seed=0)


def test_proposals_of_before_are_taken_and_those_of_other_settings_are_not() -> None:
    """A search that an earlier state of the program began goes on; long trials are others."""
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    candidate = space.canonical(np.zeros((1, len(space.sizes)), np.int64))[0]
    settings = dataclasses.asdict(HOW)
    before = {name: settings[name] for name in settings if name not in ("compile", "norm_share")}
    for stored, how, taken in (
        (settings, HOW, True),
        (before, HOW, True),
        (before, dataclasses.replace(HOW, norm_share=0.5), False),
        ({**before, "epochs": 5}, HOW, False),
        (None, HOW, False),
    ):
        attributes = {"candidate": candidate.tolist(), "training": stored}
        proposal = Proposal(network_key(space, candidate), {}, {}, attributes)
        if taken:
            assert candidate_of(proposal, space, how).tolist() == candidate.tolist()
        else:
            with pytest.raises(UserError, match="another space or training"):
                candidate_of(proposal, space, how)


def test_long_trials_of_large_images_keep_batch_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = datasets.load("digits")
    assert HOW.longer(LONG, digits).norm_share == 0.0
    monkeypatch.setattr(choices, "_SMALL_MAP", 0)
    assert HOW.longer(LONG - 1, digits).norm_share == 0.0
    long = HOW.longer(LONG, digits)
    assert (long.norm_share, long.compile) == (LONG_NORM_SHARE, "auto")


@pytest.mark.parametrize("failures", range(MOST_REPEATS + 2))
def test_a_training_that_diverges_is_repeated_calmly(
    failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    train = loop.train

    def diverging(graph, quantisation, dataset, settings):
        rates.append(settings.learning_rate)
        assert settings.bfloat16 == (len(rates) == 1)
        if len(rates) <= failures:
            raise DivergedError("the loss is nan")
        return train(graph, quantisation, dataset, settings)

    monkeypatch.setattr(loop, "train", diverging)
    how = dataclasses.replace(HOW, training=TrainingChoices(bfloat16=True))
    task = TrainingTask("key", sequential("net", (1, 8, 8), Linear(10)), Quantisation(), 8)
    data = how.subset(datasets.load("digits"))
    if failures > MOST_REPEATS:
        with pytest.raises(DivergedError):
            train_one(task, data, how)
    else:
        assert train_one(task, data, how).repeats == failures
    assert rates == [rates[0] / 4**n for n in range(len(rates))]
    assert len(rates) == min(failures, MOST_REPEATS) + 1
