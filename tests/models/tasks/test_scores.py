"""Accuracy with its interval, recall by class, and what of it is doubtful."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from models.tasks.scores import Z95, Scores, Share


@given(st.integers(0, 300), st.integers(1, 300))
def test_interval_is_wilsons(right, images):
    """Its ends are the shares p at which the observed one is Z95 standard errors of p away."""
    right = min(right, images)
    found = Share.of(right, images)
    assert 0 <= found.low <= found.share <= found.high <= 1

    def away(p: float) -> float:
        return (right / images - p) ** 2 - Z95**2 * p * (1 - p) / images

    for end in (found.low, found.high):
        if 0 < end < 1:
            root = optimize.brentq(away, *sorted((found.share, 0.0 if end < found.share else 1.0)))
            assert end == pytest.approx(root, abs=1e-4) or right in (0, images)


def test_no_image_says_nothing():
    assert Share.of(0, 0).to_dict() == {"share": 0.0, "images": 0, "low": 0.0, "high": 1.0}


@given(st.integers(2, 6), st.integers(1, 200), st.integers(0, 2**31))
def test_confusion_counts_every_image_once(classes, images, seed):
    rng = np.random.default_rng(seed)
    labels, answers = rng.integers(0, classes, (2, images))
    scores = Scores.of(answers, labels, classes)
    assert scores.confusion.sum() == images
    assert scores.accuracy.share == pytest.approx((labels == answers).mean())
    per_class = scores.per_class([str(i) for i in range(classes)])
    for i in range(classes):
        mine = labels == i
        assert per_class[str(i)]["images"] == mine.sum()
        if mine.any():
            assert per_class[str(i)]["recall"] == pytest.approx((answers[mine] == i).mean())
        else:
            assert per_class[str(i)]["recall"] is None


def test_a_class_that_is_never_answered_is_told():
    labels = np.array([0] * 98 + [1] * 2)
    scores = Scores.of(np.zeros(100, np.int64), labels, 2)
    notes = scores.doubts(["common", "rare"], "test")
    assert notes == [
        "class rare never answered on the test images",
        "test accuracy 98.0 % is no better than always answering common, 98.0 %",
    ]
    assert Scores.of(labels, labels, 2).doubts(["common", "rare"], "test") == []
