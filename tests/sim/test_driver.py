"""The host driver runs images on the behavioural NPU with the reference's logits.

Also errors that say why: another NPU, an error of the hardware, weights that need external memory.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from models.integer import reference
from rtl_gen.isa.opcodes import ErrorCode
from rtl_gen.isa.registers import (
    ISA_VERSION,
    NPU_ID,
    PROGRAM_BASE,
    Register,
    channel_address,
    weight_address,
)
from rtl_gen.twin.model import Twin
from sim import driver
from sim.layout import quantise
from tests.codesign import named_build, small_build


class Board:
    """Bus and streams of the driver, connected to the behavioural model (twin)."""

    def __init__(self, config) -> None:
        self.config, self.twin = config, Twin(config)
        self.values = {
            Register.ID: NPU_ID,
            Register.VERSION: ISA_VERSION,
            Register.CONFIG_HASH: int(config.hash[:8], 16),
        }
        self.written: dict[int, int] = {}
        self.started = False
        self.sent: list[list[tuple[int, bool]]] = []
        self.received = 0

    def read(self, address: int) -> int:
        return self.values.get(Register(address), 0)

    def write(self, address: int, value: int) -> None:
        if address == Register.CONTROL:
            self.started, self.sent, self.received = bool(value & 1), [], 0
        else:
            self.written[address] = value

    def send(self, beats) -> None:
        """Run the images received so far; later images do not change their results."""
        assert self.started
        self._load()
        self.sent.append([(int(beat), i == len(beats) - 1) for i, beat in enumerate(beats)])
        assert len(self.sent) <= self.written[Register.IMAGES]
        beats_so_far = [beat for packet in self.sent for beat in packet]
        self.result = self.twin.run(beats_so_far, images=len(self.sent))
        failed = self.result.error is not ErrorCode.NONE
        self.values[Register.STATUS] = 4 if failed else 2
        self.values[Register.ERROR] = self.result.error | self.result.error_instruction << 16
        self.values[Register.CYCLES] = self.result.cycle_log[-1] if self.result.cycle_log else 0

    def receive(self, beats: int, timeout_s: float):
        if self.result.error:
            raise TimeoutError
        frame = self.result.output_beats[beats * self.received : beats * (self.received + 1)]
        assert [last for _, last in frame] == [False] * (beats - 1) + [True]
        self.received += 1
        return np.array([beat for beat, _ in frame], np.uint32)

    def _load(self) -> None:
        """Load what was written over the bus, at the addresses of rtl_gen.isa.registers."""
        c, get = self.config, lambda address: self.written.get(address, 0)
        self.twin.load_program([get(PROGRAM_BASE + 4 * i) for i in range(2 * c.program_depth)])
        weights = [
            [get(weight_address(c, word, column)) for column in range(c.weight_word_columns)]
            for word in range(c.weight_depth)
        ]
        channels = [
            [get(channel_address(c, word, column)) for column in range(c.channel_columns)]
            for word in range(c.channel_depth)
        ]
        self.twin.load_weights(np.array(weights, np.uint32))
        self.twin.load_channels(np.array(channels, np.uint32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("driver") / "small")


@pytest.fixture
def board() -> Board:
    design, _, _ = small_build.parts()
    return Board(design.npu)


def test_predictions_are_those_of_the_reference(folder, board):
    _, compiled, vectors = small_build.parts()
    npu = driver.Npu(folder, board, board)
    npu.load()
    classes, logits = npu.predict_codes(vectors.inputs)
    expected = vectors.expected[compiled.logits.name]
    assert np.array_equal(logits, expected)
    assert np.array_equal(classes, expected.argmax(axis=1))
    assert compiled.stream
    further = (len(vectors.inputs) - 1) * compiled.stream.interval_cycles
    assert npu.cycles == compiled.stream.cycles + further
    none, empty = npu.predict_codes(vectors.inputs[:0])
    assert (len(none), empty.shape) == (0, (0, 5))


def test_the_copy_in_the_build_folder_runs_by_itself(folder, board, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    copied = importlib.import_module("driver.npu")
    try:
        assert Path(copied.__file__).is_relative_to(folder)
        npu = copied.Npu(folder, board, board)
        npu.load()
        _, _, vectors = small_build.parts()
        assert npu.predict_codes(vectors.inputs[:1])[1].shape == (1, 5)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "driver"]:
            del sys.modules[name]


def test_another_npu_is_refused(folder, board):
    board.values[Register.CONFIG_HASH] ^= 1
    with pytest.raises(driver.NpuError, match=r"CONFIG_HASH reads 0x.*, this build folder needs"):
        driver.Npu(folder, board, board)


def test_an_error_of_the_hardware_is_named(folder, board):
    _, _, vectors = small_build.parts()
    npu = driver.Npu(folder, board, board)
    npu.load()
    board.written[PROGRAM_BASE] = 0x77
    with pytest.raises(driver.NpuError, match=r"stopped with error OPCODE at instruction 0"):
        npu.predict_codes(vectors.inputs[:1])


def test_weights_for_external_memory_are_placed_where_the_host_says(tmp_path):
    design, compiled, vectors = small_build.parts(memory_port_bits=32)
    board = Board(design.npu)
    npu = driver.Npu(small_build.write(tmp_path / "fetched", memory_port_bits=32), board, board)
    with pytest.raises(driver.NpuError, match=r"weights stay in memory: load\(place\) must put"):
        npu.load()
    with pytest.raises(driver.NpuError, match=r"must begin at a multiple of 4096 bytes, not 0x10"):
        npu.load(lambda words: 16)
    with pytest.raises(driver.NpuError, match=r"must lie below 0x100000000, not at 0x100000000"):
        npu.load(lambda words: 1 << 32)

    def place(words) -> int:
        board.twin.load_memory(words)
        return 0x8000_0000

    npu.load(place)
    assert board.written[Register.MEMORY_BASE] == 0x8000_0000
    _, logits = npu.predict_codes(vectors.inputs)
    assert np.array_equal(logits, vectors.expected[compiled.logits.name])


def test_every_pixel_becomes_the_code_of_the_reference(folder, board):
    """All 256 levels, at the four input bits of this network."""
    npu = driver.Npu(folder, board, board)
    pixels = np.arange(252, dtype=np.uint8).reshape(7, 1, 6, 6)
    pixels[6, 0, 5] = range(250, 256)
    codes, clipped = quantise(npu.network.input, npu.network.input_range, pixels)
    assert clipped == 0
    assert np.array_equal(codes, reference.quantise_input(small_build.parts()[1].integer, pixels))


@pytest.mark.parametrize(
    "codes, words",
    [
        (np.full((1, 1, 6, 6), -3, np.int8), r"codes must be 0..15, not -3"),
        (np.full((2, 1, 6, 6), 16, np.uint8), r"codes must be 0..15, not 16"),
        (np.full((1, 1, 6, 6), 300), r"codes must be 0..15, not 300"),
        (np.zeros((1, 1, 6, 6)), r"codes must be integers, not float64"),
        (np.zeros((1, 1, 5, 6), np.uint8), r"must have shape \(1, 6, 6\), not \(1, 1, 5, 6\)"),
        (np.zeros((1, 6, 6), np.uint8), r"must have shape \(n, 1, 6, 6\), not \(1, 6, 6\)"),
    ],
)
def test_codes_that_the_input_cannot_hold_are_refused_before_the_start(folder, board, codes, words):
    npu = driver.Npu(folder, board, board)
    npu.load()
    with pytest.raises(ValueError, match=words):
        npu.predict_codes(codes)
    assert not board.started


def test_an_npu_that_stays_busy_is_reported(folder, board):
    board.values[Register.STATUS] = 1
    with pytest.raises(driver.NpuError, match=r"still busy 0.01 s after a soft reset"):
        driver.Npu(folder, board, board).load(timeout_s=0.01)


def test_folders_of_older_versions_have_numbers_for_names(tmp_path, board):
    older = named_build.write(tmp_path)
    named_build.as_older_version(older)
    npu = driver.Npu(older, board, board)
    npu.load()
    _, _, vectors = small_build.parts()
    found = npu.predict_codes(vectors.inputs)
    assert found.names == [str(index) for index in found.classes]
