"""Gradients of the differentiable strategies against differences, steps against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codesign.search import pareto
from codesign.search.strategies import Genes
from codesign.search.strategies.differentiable import clamped, gumbel, robust
from codesign.search.strategies.differentiable.adam import Adam
from codesign.search.strategies.differentiable.descent import Descent
from codesign.search.strategies.differentiable.relaxation import Relaxation
from codesign.search.strategies.differentiable.surrogate import MEMBERS, Surrogate
from codesign.search.strategies.results import Results

SIZES = np.array([4, 1, 3, 7], dtype=np.int64)
WAY = 1e-2
"""Half the way of a difference: single precision, and tanh networks are nearly linear on it."""


def mixtures(count: int, seed: int = 0) -> np.ndarray:
    """Return distributions, shape (MEMBERS, count, values)."""
    drawn = np.random.default_rng(seed).random((MEMBERS, count, SIZES.sum()), dtype=np.float32)
    return Relaxation(SIZES).shares(drawn + 0.1)


def told(strategy: Descent, feasible: bool = True) -> None:
    """Tell a strategy 200 results, and have it fit its surrogate."""
    candidates = np.random.default_rng(1).integers(0, SIZES, (200, len(SIZES)))
    share = candidates / np.maximum(SIZES - 1, 1)
    objectives = np.stack([(share**2).sum(1), ((1 - share) ** 2).sum(1)], axis=1)
    broken = np.maximum(share.sum(1) - 1.5, 0.0) + (0.0 if feasible else 0.1)
    strategy.tell(candidates, objectives, broken)
    strategy.ask(8)


def differences(function, at: np.ndarray) -> np.ndarray:
    """Return the gradient of a function (MEMBERS, n, d) -> (MEMBERS, n), in the shape of ``at``."""
    found = np.empty_like(at)
    for place in range(at.shape[-1]):
        step = np.zeros(at.shape[-1], dtype=np.float32)
        step[place] = WAY
        found[..., place] = (function(at + step) - function(at - step)) / (2 * WAY)
    return found


def test_the_way_back_through_the_surrogate_is_its_derivative() -> None:
    relaxation = Relaxation(SIZES)
    model = Surrogate(relaxation, 2, np.random.default_rng(0))
    at = mixtures(5)
    outputs, back = model(at)
    for place in range(3):
        slope = np.zeros_like(outputs)
        slope[..., place] = 1
        by = differences(lambda x, place=place: model(x)[0][..., place], at)
        assert np.allclose(back(slope), by, atol=3e-3)


def test_the_surrogate_learns_objectives_and_on_which_side_of_the_limits_a_design_is() -> None:
    relaxation = Relaxation(SIZES)
    model = Surrogate(relaxation, 1, np.random.default_rng(0))
    candidates = np.stack(np.meshgrid(*map(np.arange, SIZES), indexing="ij"), -1).reshape(-1, 4)
    wanted = (candidates / np.maximum(SIZES - 1, 1)).sum(axis=1, keepdims=True).astype(np.float32)
    excess = np.maximum(wanted[:, 0] - 1.5, 0)
    vectors = relaxation.one_hot(candidates)
    model.hear(vectors, wanted, excess)
    for _ in range(600):
        model.step(0.01)
    outputs, _ = model(np.tile(vectors, (MEMBERS, 1, 1)))
    assert np.abs(outputs[..., 0] - wanted[:, 0]).mean() < 0.1
    sure = np.abs(wanted[:, 0] - 1.5) > 0.2
    assert ((outputs[..., 1] > 0) == (excess > 0))[:, sure].mean() > 0.97
    assert np.abs(outputs[..., 1] - excess - 0.2)[:, excess > 0].mean() < 0.15


@pytest.mark.parametrize("feasible", [True, False])
def test_the_slope_is_the_derivative_of_the_loss(feasible: bool) -> None:
    strategy = gumbel.GumbelSearch(Genes(SIZES), seed=0)
    told(strategy, feasible)
    at = mixtures(20)
    weights = np.random.default_rng(2).dirichlet(np.ones(2), (MEMBERS, 20)).astype(np.float32)
    by = differences(lambda x: strategy._losses(x, weights), at)
    # Where the worst objective changes, or the excess ends, there is no derivative.
    assert np.isclose(strategy._slope(at, weights), by, atol=2e-2, rtol=2e-2).mean() > 0.9
    assert np.abs(by).max() > 0.1


def test_steps_are_those_of_torchs_adam() -> None:
    random = np.random.default_rng(0)
    ours, theirs = np.zeros(9, dtype=np.float32), torch.zeros(9)
    adam, optimiser = Adam((9,)), torch.optim.Adam([theirs], lr=0.1)
    for _ in range(30):
        gradient = random.standard_normal(9).astype(np.float32)
        ours = ours + adam.step(gradient, 0.1)
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()
    assert np.allclose(ours, theirs.numpy(), atol=1e-5)


def test_samples_come_with_the_gradient_of_the_softmax() -> None:
    """At no noise to speak of: the mean of the samples' softmax gradients is torch's."""
    strategy = gumbel.GumbelSearch(Genes(SIZES), seed=0)
    logits = 1e6 * mixtures(3).astype(np.float32)
    temperature = 1e6
    vectors, back = strategy._sampled(logits, temperature)
    assert (Relaxation(SIZES).sums(vectors) == 1).all()
    slope = np.random.default_rng(3).standard_normal(vectors.shape).astype(np.float32)
    mean = torch.from_numpy(slope.reshape(MEMBERS, 3, gumbel.SAMPLES, -1).mean(axis=2))
    given = torch.from_numpy(logits).requires_grad_()
    soft = [torch.softmax(part / temperature, -1) for part in given.split(SIZES.tolist(), -1)]
    (torch.cat(soft, -1) * mean).sum().backward()
    assert np.allclose(back(slope) * temperature, given.grad * temperature, atol=1e-4)


def test_the_least_vector_of_two_has_the_closed_form_and_of_more_is_near(monkeypatch) -> None:
    random = np.random.default_rng(0)
    for count in (2, 3, 5):
        vectors = random.standard_normal((50, count, 6)).astype(np.float32)
        found = robust.least(vectors)
        with monkeypatch.context() as patched:
            patched.setattr(robust, "ITERATIONS", 3000)
            exact = robust.least(vectors)
        square = (exact**2).sum(axis=-1)
        # Along the least vector all fall, by its square at least: so it is the least one.
        assert (np.einsum("nkd,nd->nk", vectors, exact).min(axis=1) > square - 1e-2).all()
        ours = (found**2).sum(axis=-1)
        assert (ours < 1.3 * square + 0.2).all()
        assert (ours / square).mean() < 1.05
        if count == 2:
            one, two = vectors[:, 0], vectors[:, 1]
            share = ((two - one) * two).sum(-1) / ((one - two) ** 2).sum(-1)
            share = np.clip(share, 0, 1)[:, None]
            assert np.allclose(found, share * one + (1 - share) * two, atol=1e-5)


def test_an_objective_without_a_gradient_does_not_stop_the_others() -> None:
    vectors = np.array([[0.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    assert robust.least(vectors).tolist() == [0.0, 2.0]
    assert robust.least(0 * vectors).tolist() == [0.0, 0.0]


def test_robustness_is_the_rise_of_the_error_when_one_gene_changes(monkeypatch) -> None:
    strategy = robust.RobustSearch(Genes(SIZES), seed=0)
    told(strategy)
    candidates = np.random.default_rng(4).integers(0, SIZES, (MEMBERS, 6, len(SIZES)))
    vectors = strategy._relaxation.one_hot(candidates)
    changed, kept = strategy._changed(vectors)
    before = np.repeat(candidates, robust.CHANGES, axis=1)
    moved = strategy._relaxation.likeliest(changed) != before
    assert (moved.sum(axis=-1) == 1).all()
    assert not moved[..., 1].any()  # the gene of one value
    monkeypatch.setattr(strategy, "_changed", lambda _: (changed, kept))
    terms, _ = strategy._terms(vectors)
    error = strategy._model(vectors)[0][..., 0]
    rises = strategy._model(changed)[0][..., 0] - np.repeat(error, robust.CHANGES, axis=1)
    wanted = np.maximum(rises, 0).reshape(MEMBERS, 6, -1).mean(axis=2)
    assert np.allclose(terms[..., 2], wanted, atol=1e-5)

    def rise(at: np.ndarray) -> np.ndarray:
        """The third term, where the changed gene stays as it was changed."""
        places = np.repeat(at - vectors, robust.CHANGES, axis=1) * kept
        monkeypatch.setattr(strategy, "_changed", lambda _: (changed + places, kept))
        return strategy._terms(at)[0][..., 2]

    by = differences(rise, vectors)
    monkeypatch.setattr(strategy, "_changed", lambda _: (changed, kept))
    assert np.isclose(strategy._slopes(vectors)[2], by, atol=2e-2).mean() > 0.9
    assert np.abs(by).max() > 0.1


def test_clamped_weights_stay_at_0_and_the_schedule_keeps_its_ratio() -> None:
    strategy = clamped.ClampedSearch(Genes(SIZES), seed=0)
    ones = np.ones((1, 1, SIZES.sum()), dtype=np.float32)
    less = ones.copy()
    less[..., 0] = 0
    found = strategy._clamped(ones + 9, less, 4 * ones)
    assert found.ravel().tolist() == [0.0, *[4.0] * (SIZES.sum() - 1)]
    none = ones.copy()
    none[..., :4] = -1  # a gene whose weights would all be gone
    assert strategy._clamped(none, less, ones).ravel()[:4].tolist() == [0, 1, 1, 1]
    random = np.random.default_rng(0)
    calm = [strategy._calm(float(t)) for t in random.exponential(7.0, 600)]
    assert abs(np.mean(calm[200:]) - 1 / (1 + clamped.RATIO)) < 0.05


def test_admm_ends_nearer_to_one_value_a_gene(monkeypatch) -> None:
    largest = {}
    for pull in (0.0, 3.0):
        monkeypatch.setattr(clamped, "PULL", pull)
        strategy = clamped.ClampedSearch(Genes(SIZES), seed=0)
        told(strategy)
        chances = strategy._moved(strategy._weights)
        largest[pull] = np.maximum.reduceat(chances, strategy._relaxation._starts, axis=-1).mean()
    assert largest[3.0] > largest[0.0] + 0.02


@pytest.mark.parametrize("share", [1.0, 0.6, 0.01, 0.0])
@pytest.mark.parametrize("most", [7, 50, 199])
def test_results_to_model_are_those_of_the_best_fronts_of_all(share: float, most: int) -> None:
    random = np.random.default_rng(0)
    known = Results(np.full(5, 9))
    candidates = np.unique(random.integers(0, 9, (220, 5)), axis=0)
    excess = random.integers(1, 9, len(candidates)) / 4
    broken = np.where(random.random(len(candidates)) < share, 0.0, excess)
    known.add(candidates, random.integers(0, 9, (len(candidates), 2)) * 1.0, broken)
    ranks = pareto.nondominated_sort(known.objectives, known.violation)
    best = np.argsort(ranks, kind="stable")[: most // 2]
    others = np.setdiff1d(np.arange(len(known)), best)
    wanted = np.sort(np.append(best, others[len(best) - most :]))
    assert (known.chosen(most) == wanted).all()
