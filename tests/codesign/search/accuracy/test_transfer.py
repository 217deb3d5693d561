"""The predictor over several sources learns from other data sets first, then from its own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from codesign.search.accuracy import evaluation, study_data, transfer
from codesign.search.accuracy.features import FEATURES, capacity, network_features
from codesign.search.accuracy.transfer import Source, TransferPredictor
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key

RANDOM = np.random.default_rng(0)
DRAWN = RANDOM.normal(10, 1, (60, len(FEATURES)))
CENTRE = DRAWN.mean(axis=0)
NOTHING = Source("mine", DRAWN[:0], np.empty(0), 500)


def truth(features: np.ndarray) -> np.ndarray:
    """Return accuracies that grow with a feature that is no part of the size."""
    return np.asarray(expit(2.0 + features[:, FEATURES.index("log2_least_channels")] - 10.0))


def test_before_any_training_accuracy_grows_with_capacity_and_nothing_is_certain() -> None:
    odds, deviation = TransferPredictor(NOTHING, [], CENTRE).odds(DRAWN)
    order = np.argsort(capacity(DRAWN))
    assert (np.diff(odds[order]) > 0).all()
    assert (deviation > transfer.LEVEL_DEVIATION).all()


@pytest.mark.parametrize(("name", "least", "most"), [("mine", 0.75, 1.0), ("other", 0.0, 0.7)])
def test_a_source_of_the_same_data_set_says_more_than_another(
    name: str, least: float, most: float
) -> None:
    drawn = np.random.default_rng(1).normal(10, 1, (300, len(FEATURES)))
    before = Source(name, drawn[:240], truth(drawn[:240]), 500)
    odds, _ = TransferPredictor(NOTHING, [before], CENTRE).odds(drawn[240:])
    without, _ = TransferPredictor(NOTHING, [], CENTRE).odds(drawn[240:])
    found, blind = (np.corrcoef(o, truth(drawn[240:]))[0, 1] for o in (odds, without))
    assert least < found < most
    assert found > blind


def test_own_trainings_overrule_what_others_say() -> None:
    wrong = Source("other", DRAWN, 1 - truth(DRAWN), 500)
    own = Source("mine", DRAWN[:40], truth(DRAWN[:40]), 500)
    odds, deviation = TransferPredictor(own, [wrong], CENTRE).odds(DRAWN[40:])
    assert np.corrcoef(odds, truth(DRAWN[40:]))[0, 1] > 0.7
    _, before = TransferPredictor(NOTHING, [wrong], CENTRE).odds(DRAWN[40:])
    assert (deviation < before).all()


def test_a_predictor_of_one_source_is_a_gaussian_process() -> None:
    """Against the textbook's formula, without the Cholesky factors."""
    own = Source("mine", DRAWN[:10], truth(DRAWN[:10]), 500)
    place = np.square(DRAWN[:, None] - DRAWN).sum(2)
    sizes = capacity(DRAWN - CENTRE)
    terms = (DRAWN - CENTRE)[:, [FEATURES.index(name) for name in transfer.TERMS]]
    rest = transfer.OWN**2 + transfer.SHARED**2
    kernel = (
        rest * np.exp(-place / (2 * transfer.LENGTH**2))
        + transfer.LEVEL_DEVIATION**2
        + transfer.SLOPE_DEVIATION**2 * np.outer(sizes, sizes)
        + (transfer.TERM_DEVIATION**2 + transfer.ALIKE_TERM**2) * terms @ terms.T
    )
    noisy = np.linalg.inv(kernel[:10, :10] + np.diag(own.noise**2))
    mean = transfer.LEVEL + transfer.SLOPE * sizes
    expected = mean + kernel[:, :10] @ noisy @ (own.odds - mean[:10])
    variance = np.diag(kernel) - np.diag(kernel[:, :10] @ noisy @ kernel[:10])
    odds, deviation = TransferPredictor(own, [], CENTRE).odds(DRAWN)
    assert odds == pytest.approx(expected)
    assert deviation == pytest.approx(np.sqrt(variance))


def test_many_images_tell_an_accuracy_more_certainly() -> None:
    """By the binomial distribution, beside what another training would change, up to a limit."""
    few, many = (Source("mine", DRAWN[:3], np.array([0.5, 0.7, 1.0]), n) for n in (200, 5000))
    by_chance = np.array([1 / 50, 1 / 42])
    assert few.noise[:2] == pytest.approx(np.sqrt(transfer.NOISE**2 + by_chance), rel=0.02)
    assert few.noise[2] == transfer.MOST_NOISE
    assert (many.noise[:2] < few.noise[:2]).all()
    assert (many.noise > transfer.NOISE).all()


def test_what_a_part_of_the_capacity_is_worth_is_learned_from_others() -> None:
    """Where bits were worth nothing to others, more weights are believed to beat more bits."""
    bits, weights = (FEATURES.index(name) for name in ("mean_weight_bits", "log2_weights"))
    before = Source("other", DRAWN, np.asarray(expit(2 + 0.3 * (DRAWN[:, weights] - 10))), 5000)
    pair = np.tile(CENTRE, (2, 1))
    pair[0, bits] += 2.0
    pair[1, weights] += 2.0
    assert np.diff(capacity(pair))[0] < 0
    blind, told = (TransferPredictor(NOTHING, o, CENTRE).odds(pair)[0] for o in ([], [before]))
    assert blind[1] < blind[0]
    assert told[1] > told[0]


def test_what_networks_of_alike_work_teach_counts_more() -> None:
    """Others of 16 times the products say less of what bits are worth than others of as many."""
    bits, macs = (FEATURES.index(name) for name in ("mean_weight_bits", "log2_macs"))
    accuracies = np.asarray(expit(2 + 0.5 * (DRAWN[:, bits] - 10)))
    pair = np.tile(CENTRE, (2, 1))
    pair[:, bits] += (0.0, 2.0)
    worths = []
    for apart in (0.0, 4.0, 8.0, 40.0):
        moved = DRAWN.copy()
        moved[:, macs] += apart
        before = Source("other", moved, accuracies, 5000)
        odds, _ = TransferPredictor(NOTHING, [before], CENTRE).odds(pair)
        worths.append(odds[1] - odds[0])
    assert worths[0] > worths[1] > worths[2] == worths[3], "what is far away says nothing"
    assert worths[0] == pytest.approx(1.0, rel=0.15)


def shipped_photos() -> list[study_data.Brief]:
    return study_data.read(study_data.SHIPPED / study_data.BRIEFS, study_data.Brief)


def test_shipped_studies_are_sources() -> None:
    sources = evaluation.shipped_sources()
    assert {one.dataset for one in sources} == {"digits", "fashion-mnist", "cifar10"}
    assert all(one.features.shape[1] == len(FEATURES) for one in sources)
    photos = [one for one in sources if one.dataset == "cifar10"]
    lengths = {row.epochs for row in shipped_photos()}
    assert len(photos) == len(lengths) > 1, "trainings of one length have one level"
    assert sum(len(one.features) for one in photos) == len(shipped_photos())


def test_features_of_the_shipped_photos_are_those_of_their_networks() -> None:
    rows = shipped_photos()
    space = SearchSpace(load_declaration("photos"), (3, 32, 32), 10)
    candidates = np.array([[int(gene) for gene in row.genes.split()] for row in rows])
    found = network_features(space.layers(candidates))
    stored = np.array([[getattr(row, name) for name in FEATURES] for row in rows])
    assert found == pytest.approx(stored, abs=1e-4)
    assert [network_key(space, one) for one in candidates] == [row.key for row in rows]
