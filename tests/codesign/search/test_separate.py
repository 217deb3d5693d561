"""The separate flow decides network, bits and NPU one after another, and goes back where told."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.search.strategies import Genes, Separate

NETWORK, BITS, NPU = np.array([0, 1]), np.array([2]), np.array([3])
GENES = Genes(np.array([10, 10, 4, 20]), parts=(NETWORK, BITS, NPU))
PATIENCE = 60


def run(strategy: Separate, limit: float, rounds: int = 60) -> list[np.ndarray]:
    """Tell a strategy a problem for some rounds of 20; return the candidates asked for.

    Accuracy is the sum of the network's genes, and half as much for each bit; the design fits where
    that sum, plus the bits, is at most ``limit`` and 0.3 times the NPU's gene.
    """
    asked = []
    for _ in range(rounds):
        found = strategy.ask(20)
        size = found[:, NETWORK].sum(1)
        need = size + found[:, 2]
        objectives = np.column_stack([-(size + found[:, 2] / 2), found[:, 3], -found[:, 3]])
        strategy.tell(found, objectives, np.maximum(need / (limit + 0.3 * found[:, 3]) - 1, 0.0))
        asked.append(found)
    return asked


def test_the_network_is_decided_first_then_its_bits_then_the_npu() -> None:
    asked = np.vstack(run(Separate(GENES, 0, patience=PATIENCE), limit=30))
    whole = (asked[:, NETWORK] == 9).all(1)
    assert whole.any(), "the most accurate network of all is found"
    first = ~((asked[:, 2] == 3) & (asked[:, 3] == 0))  # widest bits, first NPU
    start = int(np.argmax(first))
    assert start > PATIENCE
    assert whole[start:].all(), "behind its step the network stays"
    varied = asked[start:, 3] != 0
    assert (asked[start + int(np.argmax(varied)) :, 2] == asked[-1, 2]).all(), "then the bits stay"


def test_the_strict_flow_keeps_a_network_that_fits_no_npu() -> None:
    asked = run(Separate(GENES, 0, patience=PATIENCE), limit=2)
    last = asked[-1]
    assert (last[:, NETWORK] == 9).all()
    assert (last[:, NETWORK].sum(1) + last[:, 2] > 2 + 0.3 * last[:, 3]).all()


@pytest.mark.parametrize("limit", [2, 5, 8])
def test_going_back_ends_at_a_smaller_network_that_fits(limit: int) -> None:
    last = run(Separate(GENES, 0, back=True, patience=PATIENCE), limit, rounds=200)[-1]
    size = np.unique(last[:, NETWORK].sum(1))
    assert len(size) == 1, "the first network that fits stays"
    assert 0 < size[0] < 18
    assert (size[0] + last[:, 2] <= limit + 0.3 * last[:, 3]).any()


def test_where_the_first_network_fits_nothing_is_gone_back_for() -> None:
    flows = (Separate(GENES, 0, back=back, patience=PATIENCE) for back in (False, True))
    strict, back = (np.vstack(run(flow, limit=30)) for flow in flows)
    assert (strict == back).all()
