"""Whole random networks on the RTL equal the integer reference, tensor by tensor.

In Amaranth's simulator, with random stalls on both streams; cycles are as the compiler predicted.
"""

from __future__ import annotations

import random

import pytest

from codesign.compiler import compile_network
from tests.codesign.compiler.network_checks import check_on_the_rtl
from tests.codesign.compiler.random_networks import random_config, random_network


@pytest.mark.parametrize("seed", [1, 20, 31])
def test_rtl_equals_the_reference_for_every_tensor(seed: int) -> None:
    pick = random.Random(seed)
    bits = pick.randint(1, 8)
    network = random_network(pick, bits)
    compiled = compile_network(network, random_config(pick, network, bits))
    check_on_the_rtl(network, compiled, seed, stall=0.3)
