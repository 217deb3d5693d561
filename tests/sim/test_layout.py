"""Images survive packing into stream beats and back, for every layout of program.json."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.layout import LayoutError, pack, real, unpack, unpack_logits


def layout(shape, bits, groups, lanes, *, activation_bits, pixel_words, beats_per_word):
    beats = shape[1] * shape[2] * pixel_words * beats_per_word
    return {
        "name": "t",
        "shape": list(shape),
        "bits": bits,
        "activation_bits": activation_bits,
        "pixel_words": pixel_words,
        "beats_per_word": beats_per_word,
        "channel_groups": groups,
        "channel_lanes": lanes,
        "beats": beats,
        "window": None,
    }


def test_a_lane_may_cross_from_one_beat_into_the_next():
    """Two channels in lanes of 12 and of 14 bits, with the beats worked out by hand."""
    spec = layout((2, 1, 2), 8, [0, 1], [2, 0], activation_bits=12, pixel_words=2, beats_per_word=2)
    codes = np.array([[[0xAB, 0x01]], [[0xCD, 0x02]]], np.uint8)
    expected = [0xAB000000, 0, 0xCD, 0, 0x01000000, 0, 0x02, 0]
    assert pack(spec, codes).tolist() == expected
    spec["channel_lanes"] = [2, 2]
    spec["activation_bits"] = 14
    assert pack(spec, codes).tolist()[:4] == [0xB0000000, 0xA, 0xD0000000, 0xC]


@st.composite
def cases(draw):
    bits = draw(st.integers(1, 8))
    activation_bits = draw(st.integers(bits, 8))
    lanes = draw(st.integers(1, 16))
    pixel_words = draw(st.integers(1, 3))
    places = draw(st.permutations([(g, n) for g in range(pixel_words) for n in range(lanes)]))
    channels = draw(st.integers(1, len(places)))
    shape = (channels, draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    groups, positions = zip(*places[:channels], strict=True)
    spec = layout(
        shape,
        bits,
        list(groups),
        list(positions),
        activation_bits=activation_bits,
        pixel_words=pixel_words,
        beats_per_word=-(-lanes * activation_bits // 32),
    )
    return spec, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases())
def test_images_survive_the_round_trip_whatever_is_in_other_bits(case):
    spec, seed = case
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << spec["bits"], spec["shape"], dtype=np.uint8)
    beats = pack(spec, codes)
    assert beats.dtype == np.uint32
    assert np.array_equal(unpack(spec, beats), codes)

    full = np.full_like(codes, (1 << spec["activation_bits"]) - 1)
    ours = pack({**spec, "bits": spec["activation_bits"]}, full)
    noise = rng.integers(0, 2**32, beats.shape, dtype=np.uint32)
    assert np.array_equal(unpack(spec, beats | (noise & ~ours)), codes)


def test_logits_are_signed_and_padding_beats_are_dropped():
    beats = np.array([5, 0xFFFFFFFE, 0x80000000, 7], np.uint32)
    spec = {"name": "logits", "shape": [3, 1, 1], "tile_channels": 2, "beats": 4}
    assert unpack_logits(spec, beats).tolist() == [5, -2, -(2**31)]
    with pytest.raises(LayoutError, match="logits: 4 beats expected, got 3"):
        unpack_logits(spec, beats[:3])


def test_maps_of_outputs_come_tile_by_tile_and_are_in_the_order_of_channels():
    beats = np.arange(12, dtype=np.uint32)  # 2 tiles of 2 channels at 3 columns
    spec = {"name": "map", "shape": [3, 1, 3], "tile_channels": 2, "beats": 12, "scale": [1, 2, 3]}
    outputs = unpack_logits(spec, beats)
    assert outputs.tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 10]
    assert real(spec, outputs[None]).tolist() == [[0, 2, 4, 2, 6, 10, 18, 24, 30]]


def test_wrong_shapes_codes_and_beats_are_refused():
    spec = layout((1, 2, 2), 3, [0], [0], activation_bits=4, pixel_words=1, beats_per_word=1)
    with pytest.raises(LayoutError, match=r"shape \(1, 2, 2\), not \(1, 2, 3\)"):
        pack(spec, np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(LayoutError, match=r"codes must be 0..7, not 8"):
        pack(spec, np.full((1, 2, 2), 8, np.uint8))
    with pytest.raises(LayoutError, match="4 beats expected, got 5"):
        unpack(spec, np.zeros(5, np.uint32))
