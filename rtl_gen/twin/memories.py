"""The memories of the twin: what an NPU keeps from run to run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.isa.opcodes import ErrorCode


class TwinError(Exception):
    """The instruction stops the run with ``code``."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class TwinInputError(ValueError):
    """A memory image that does not fit, or a stream that ends where the NPU would wait for ever."""


class Memories:
    """Of one NPU. ``load_*`` write them from address 0 on, as the host does."""

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        c = config
        self.program = [0] * (BUS_WORDS * c.program_depth)
        self.weights = np.zeros((c.weight_depth, c.weight_word_columns), np.uint32)
        self.channels = np.zeros((c.channel_depth, 2 * c.post_units), np.uint32)
        self.activations = np.zeros((c.pixels, c.activation_depth, c.lanes), np.uint8)
        self.results = np.zeros((c.result_depth, c.post_units), np.int64)
        self.memory = np.zeros(0, np.uint32)
        """Behind the memory port, as ``load_memory`` and SPILLs left it."""

    def load_program(self, words: Sequence[int]) -> None:
        """Raises TwinInputError when ``words`` exceed the program memory."""
        if len(words) > len(self.program):
            raise TwinInputError(f"program of {len(words)} words, at most {len(self.program)} fit")
        self.program[: len(words)] = words

    def load_weights(self, image: NDArray[np.uint32]) -> None:
        """image: uint32 [words, weight_word_columns]."""
        _load(self.weights, image, "weight image")

    def load_channels(self, image: NDArray[np.uint32]) -> None:
        """image: uint32 [words, 2 * post_units]: bias, multiplier | shift << 16 per unit."""
        _load(self.channels, image, "channel image")

    def load_memory(self, words: NDArray[np.uint32]) -> None:
        """Memory from MEMORY_BASE on: uint32 [words], the low ones of a beat first."""
        self.memory = words.reshape(-1).copy()

    def first_outside(self, bank: NDArray[np.int64], address: NDArray[np.int64]) -> int | None:
        """Index of the first activation word outside the buffers, if any."""
        outside = (bank >= self.config.pixels) | (address >= self.config.activation_depth)
        return int(np.argmax(outside)) if outside.any() else None


def _load(memory: NDArray[np.uint32], image: NDArray[np.uint32], what: str) -> None:
    if image.ndim != 2 or image.shape[1] != memory.shape[1] or len(image) > len(memory):
        raise TwinInputError(
            f"{what} must be [up to {len(memory)}, {memory.shape[1]}], not {list(image.shape)}"
        )
    memory[: len(image)] = image


def window(memory: NDArray[np.uint32], first: int, count: int) -> NDArray[np.uint32]:
    """``count`` words from ``first`` on. Raises TwinError(ADDRESS) where they leave the memory."""
    if first + count > len(memory):
        raise TwinError(ErrorCode.ADDRESS)
    return memory[first : first + count]
