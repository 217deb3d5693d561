"""The benchmark of quantisation after training, on a small network of random weights."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration.post_training import measure, of_float
from codesign.build.floats.quantising import Bits
from codesign.build.floats.subjects import Subject
from codesign.design import DatasetSpec
from models.calibration import inputs, loading
from models.data.datasets import Dataset, Split
from models.training.trained import answers
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating

NETWORK = inputs.fit(floating(RESIDUAL), UNIT).network


def part(count: int, seed: int) -> Split:
    images = examples(RESIDUAL, count, seed).images
    return Split(images, answers(loading.load(NETWORK, Bits().widest), images))


@pytest.fixture(scope="module")
def subject() -> Subject:
    data = Dataset("made", (3, 12, 12), 5, part(64, 5), part(64, 6), part(200, 7))
    return Subject("made", NETWORK, 0, DatasetSpec("made"), data, None, ())


def test_rows_compare_with_the_float_network(subject: Subject) -> None:
    floats = of_float(subject)
    assert (floats.validation, floats.test) == (1, 1)
    rows = [measure(subject, bits, floats.test) for bits in (Bits(), Bits((2,)))]
    assert rows[0].below_float < 10 < rows[1].below_float
    for row in rows:
        assert row.below_float == pytest.approx(100 * (1 - row.test))


def test_the_average_holds(subject: Subject) -> None:
    row = measure(subject, Bits((3, 4, 8), average=4.5), 1)
    assert row.weights == "3..8"
    assert 3 <= row.average <= 4.5
    assert np.isfinite(row.seconds)
