"""A file with thresholds of its own gets an NPU that compares, and a wider input as many passes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="no onnx")
from codesign.build import imported, npu_choice
from codesign.compiler import compile_network
from codesign.results import InfeasibleError, UserError
from rtl_gen.config import NpuConfig
from tests.codesign.compiler.network_checks import check_against_reference
from tests.models.importing.test_quantised import (
    UNEVEN,
    integer,
    thresholds_file,
)


def test_the_npu_follows_from_the_file(tmp_path: Path) -> None:
    network = integer(thresholds_file(tmp_path, UNEVEN, pooled=True))
    widths = imported.widths(network)
    assert (widths["requantisation"], widths["activation_bits"]) == ("thresholds", 2)
    npu = imported.taking_input(NpuConfig(weight_digit_bits=2, **widths), network)
    assert npu.wide_input_passes == 1
    check_against_reference(network, compile_network(network, imported.fitted(npu, network)))
    for config in npu_choice.grid(widths):
        assert config.has_thresholds
        break


def test_an_input_that_no_number_of_passes_takes_is_refused(tmp_path: Path) -> None:
    """Weights of 9 bits need two digits, which codes of 2 bits cannot be read beside."""
    network = integer(thresholds_file(tmp_path, UNEVEN))
    first = dataclasses.replace(network.mac_layers[0], weight_bits=9)
    wide = dataclasses.replace(network, layers=(first, *network.layers[1:]))
    with pytest.raises(InfeasibleError, match="use fewer weight bits in the first layer"):
        npu_choice.choose(wide, 5000, "xc7", 100.0)


def test_an_npu_that_multiplies_is_refused(tmp_path: Path) -> None:
    network = integer(thresholds_file(tmp_path, UNEVEN))
    widths = imported.widths(network) | {"requantisation": "multiply", "activation_bits": 8}
    with pytest.raises(InfeasibleError, match=r"set npu\.requantisation to thresholds"):
        compile_network(network, imported.fitted(NpuConfig(**widths), network))


def test_thresholds_beside_wider_codes_are_refused_by_name(tmp_path: Path) -> None:
    network = integer(thresholds_file(tmp_path, UNEVEN))
    inner = network.layers[0].output
    wide = dataclasses.replace(network.tensors[inner], name="wide", bits=8)
    network = dataclasses.replace(network, tensors={**network.tensors, "wide": wide})
    with pytest.raises(UserError, match="up to 3 bits; tensor wide has 8"):
        imported.widths(network)
