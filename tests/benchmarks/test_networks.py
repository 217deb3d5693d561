"""benchmarks.networks has the published networks, and its rows are the compiler's best plans."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from benchmarks.networks import zoo
from benchmarks.networks.__main__ import shapes
from codesign.compiler import minimal_depths, plan
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.speed import macs
from rtl_gen.config import NpuConfig


@pytest.mark.parametrize(
    "name, millions",
    [
        # MLPerf Tiny (arXiv 2106.07597): 12.5, 2.7 and 7.5 million; the others by hand.
        ("resnet8", 12.50),
        ("ds_cnn", 2.66),
        ("mobilenet_v1_025", 7.49),
        ("cnn_a", 0.33),
        ("cnn_b", 24.52),
        ("vgg_like", 155.13),
    ],
)
def test_networks_have_the_published_work(name: str, millions: float) -> None:
    assert macs(zoo.NETWORKS[name]()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_row_is_the_best_of_all_array_shapes() -> None:
    command = [sys.executable, "-m", "benchmarks.networks", "cnn_a", "--macs", "16", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    network = shape_only(zoo.cnn_a(), Quantisation(4, QuantSpec(4, 4)), NpuConfig.scale_bits)
    found = []
    for config in shapes(16, 4, 4):
        sized = dataclasses.replace(config, **minimal_depths(network, config))
        found.append(plan(network, sized).utilisation)
    assert len(found) > 3
    assert row["utilisation"] == pytest.approx(max(found), abs=1e-4)
    assert row["utilisation"] == pytest.approx(
        row["network_macs"] / row["cycles_per_image"] / row["macs_per_cycle"], abs=1e-4
    )


def test_images_back_to_back_hide_the_load() -> None:
    command = [sys.executable, "-m", "benchmarks.networks", "cnn_a", "--macs", "16", "--json"]
    alone, stream = (
        json.loads(subprocess.run(one, capture_output=True, text=True, check=True).stdout)
        for one in (command, [*command, "--stream"])
    )
    assert stream["cycles_between_images"] < stream["cycles_per_image"]
    assert stream["utilisation"] > alone["utilisation"]
    assert stream["utilisation"] == pytest.approx(
        stream["network_macs"] / stream["cycles_between_images"] / stream["macs_per_cycle"],
        abs=1e-4,
    )


def test_unknown_networks_are_refused() -> None:
    command = [sys.executable, "-m", "benchmarks.networks", "alexnet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not alexnet" in done.stderr
