"""Memories of the twin: the state that an NPU keeps from run to run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.isa.opcodes import ErrorCode


class TwinError(Exception):
    """An instruction stops the run with error ``code``; ``Twin.run`` reports it in its result."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class TwinInputError(ValueError):
    """A memory image that does not fit, or an input stream on which the NPU would wait for ever."""


class Memories:
    """Memories of one NPU; ``load_*`` write them from address 0 on, as the host does.

    They hold what the hardware's hold, but activations as one code per lane, uint8, and results as
    sign-extended accumulators, int64. All are 0 at first, where the hardware's are undefined;
    external memory is empty until ``load_memory``, which replaces it.

    >>> memories = Memories(NpuConfig(pixels=2, activation_depth=64))
    >>> memories.activations.shape  # banks, words, lanes
    (2, 64, 8)
    """

    def __init__(self, config: NpuConfig) -> None:
        self.config = config
        c = config
        self.program = [0] * (BUS_WORDS * c.program_depth)
        self.weights = np.zeros((c.weight_depth, c.weight_word_columns), np.uint32)
        self.channels = np.zeros((c.channel_depth, c.channel_columns), np.uint32)
        self.activations = np.zeros((c.pixels, c.activation_depth, c.lanes), np.uint8)
        self.results = np.zeros((c.result_depth, c.post_units), np.int64)
        self.memory = np.zeros(0, np.uint32)
        """External memory behind the port, as 32-bit words from MEMORY_BASE on."""

    def load_program(self, words: Sequence[int]) -> None:
        """Write 32-bit bus words to program memory, from its first word on, low halves first.

        Words behind them stay. Raises TwinInputError if they exceed it.
        """
        if len(words) > len(self.program):
            raise TwinInputError(f"program of {len(words)} words, at most {len(self.program)} fit")
        self.program[: len(words)] = words

    def load_weights(self, image: NDArray[np.uint32]) -> None:
        """Write a weight image, uint32 (n_words, weight_word_columns), from weight word 0 on.

        Words behind it stay. Raises TwinInputError for another width or too many words.
        """
        _load(self.weights, image, "weight image")

    def load_channels(self, image: NDArray[np.uint32]) -> None:
        """Write a channel table, uint32 (n_words, channel_columns), from table word 0 on.

        A word holds, for each post unit, the bias and then multiplier | shift << 16, or its
        negated thresholds. Words behind the table stay. Raises TwinInputError for another width or
        too many words.
        """
        _load(self.channels, image, "channel image")

    def load_memory(self, words: NDArray[np.uint32]) -> None:
        """Replace external memory by a copy of these uint32 words, from MEMORY_BASE on.

        Any shape; its size becomes their number, and accesses beyond it are errors.
        """
        self.memory = words.reshape(-1).copy()

    def first_outside(self, bank: NDArray[np.int64], address: NDArray[np.int64]) -> int | None:
        """Return the index of the first (bank, address) outside activation memory.

        bank, address: int64 (n,), not negative. None if all are inside.
        """
        outside = (bank >= self.config.pixels) | (address >= self.config.activation_depth)
        return int(np.argmax(outside)) if outside.any() else None


def _load(memory: NDArray[np.uint32], image: NDArray[np.uint32], what: str) -> None:
    if image.ndim != 2 or image.shape[1] != memory.shape[1] or len(image) > len(memory):
        raise TwinInputError(
            f"{what} must be [up to {len(memory)}, {memory.shape[1]}], not {list(image.shape)}"
        )
    memory[: len(image)] = image


def window(memory: NDArray[np.uint32], first: int, count: int) -> NDArray[np.uint32]:
    """Return ``count`` words of a memory (n_words, columns) from word ``first`` on, not copied.

    Raises TwinError(ADDRESS) if they reach beyond the memory.
    """
    if first + count > len(memory):
        raise TwinError(ErrorCode.ADDRESS)
    return memory[first : first + count]
