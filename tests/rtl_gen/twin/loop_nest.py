"""A LAYER in plain integers, one product at a time, as docs/reference/isa.md writes its loop nest.

The reference for the behavioural model (rtl_gen.twin), which computes the same with arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from models.arithmetic import requantise
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import COLUMN_BITS, STRIP_BITS
from tests.rtl_gen.twin.programs import LayerNest

Memory = dict[tuple[int, int], list[int]]
"""Codes of the N input-channel lanes of each word, by (bank, address)."""
OUTPUT_LEVELS = ("out_groups", "out_rows", "out_cols")
POOL_LEVELS = ("pool_rows", "pool_cols")
TAP_LEVELS = ("digits", "passes", "kernel_rows", "kernel_cols", "groups", "phases")


class OutsideError(Exception):
    """A read or write left a buffer."""


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class ScalarLoopNest:
    """One LAYER on given memories; ``run`` changes ``memory`` and appends to ``results``."""

    def __init__(
        self,
        config: NpuConfig,
        nest: LayerNest,
        memory: Memory,
        weights: list[list[int]],
        channels: list[list[int]],
    ) -> None:
        self.config, self.nest, self.values = config, nest, nest.values
        self.memory, self.weights, self.channels = memory, weights, channels
        self.results: list[list[int]] = []
        """Words of the result buffer, U signed accumulators each (LAYERs that are ``raw``)."""
        self.read: set[tuple[int, int]] = set()
        self.written: set[tuple[int, int]] = set()
        """(bank, address) of every word that was read or written."""

    def run(self) -> None:
        """Run the LAYER. Raises OutsideError when it leaves a buffer."""
        values = self.values
        weight_words = 1  # of a tile of output channels, read for every digit
        for level in TAP_LEVELS[1:]:
            weight_words *= values.get(level, 0) + 1
        for tile, row, column in self._repetitions(*OUTPUT_LEVELS):
            first_weight = values["weight_base"] + tile * weight_words
            best: dict[tuple[int, int], int] = {}
            for window_row, window_column in self._repetitions(*POOL_LEVELS):
                at = {
                    "out_groups": tile, "out_rows": row, "out_cols": column,
                    "pool_rows": window_row, "pool_cols": window_column,
                }  # fmt: skip
                self._drain(tile, self._accumulate(at, first_weight), best)
            position = row * (values["out_cols"] + 1) + column
            start = values["out_base"] + tile * values["out_group_words"]
            start += position * values["out_pixel_words"]
            if not values["raw"]:
                self._write(start % (2 * self.config.activation_depth), best)

    def _repetitions(self, *levels: str) -> Iterator[tuple[int, ...]]:
        """Count these loop levels, the last one fastest."""
        return product(*(range(self.values.get(level, 0) + 1) for level in levels))

    def _position(self, at: Mapping[str, int]) -> tuple[int, int, int, int]:
        """Return (strip, row in it, column, address) of the tap at these loop repetitions."""
        position = self.nest.first_tap
        for level, step in self.nest.steps.items():
            position += step.times(at[level])
        strip, row = divmod(position.rows, self.values["strip_rows"])
        address = position.words - strip * self.values["strip_words"]
        column = _signed(position.columns, COLUMN_BITS)
        return _signed(strip, STRIP_BITS), row, column, address % (2 * self.config.activation_depth)

    def _accumulate(self, window: Mapping[str, int], weight: int) -> list[list[int]]:
        """Return the sums [pixel lane][column] of a window position; its weights begin at word
        ``weight``."""
        config = self.config
        sums = [[0] * config.columns for _ in range(config.pixels)]
        first_weight, shift = weight, config.activation_shift_bits
        signed_top_digit = self.values["passes"] + 1 >= config.least_passes
        for repetitions in self._repetitions(*TAP_LEVELS):
            tap = dict(zip(TAP_LEVELS, repetitions, strict=True))
            digit_pass = tap["passes"]
            if digit_pass and not any(repetitions[2:]):
                sums = [[value << config.weight_digit_bits for value in pixel] for pixel in sums]
            if tap["digits"] and not any(repetitions[1:]):
                sums = [[value << shift for value in pixel] for pixel in sums]
                weight = first_weight
            if weight >= config.weight_depth:
                raise OutsideError
            strip, row, column, address = self._position({**window, **tap})
            for pixel in range(config.pixels):
                codes = self._codes(pixel + strip, row, column, address)
                for m in range(config.columns):
                    for slot in range(config.slots):
                        digit = self._digit(weight, m, slot, signed_top_digit and not digit_pass)
                        sums[pixel][m] += codes[self._lane(weight, m, slot)] * digit
            weight += 1
        return [[_signed(value, config.accumulator_bits) for value in pixel] for pixel in sums]

    def _codes(self, bank: int, row: int, column: int, address: int) -> list[int]:
        """Return the activation codes that a pixel lane reads, or the padding code in all lanes."""
        values, config = self.values, self.config
        last_strip = values["last_strip"]
        outside = not 0 <= bank <= last_strip or not 0 <= column < values["col_limit"]
        if outside or (bank == last_strip and row >= values["last_rows"]):
            return [values["pad_code"]] * config.lanes
        if address >= config.activation_depth or bank >= config.pixels:
            raise OutsideError
        self.read.add((bank, address))
        return self.memory[bank, address]

    def _digit(self, word: int, m: int, slot: int, signed: bool) -> int:
        bits = self.config.weight_digit_bits
        digit = self._bits(word, (m * self.config.slots + slot) * bits, bits)
        return _signed(digit, bits) if signed else digit

    def _lane(self, word: int, m: int, slot: int) -> int:
        """Return the input-channel lane that a slot of column m multiplies."""
        config, bits = self.config, self.config.index_bits
        first = config.columns * config.slots * config.weight_digit_bits
        index = self._bits(word, first + (m * config.slots + slot) * bits, bits)
        group, k = divmod(slot, config.kept)
        return group * config.group + k + min(index, config.group - config.kept)

    def _bits(self, word: int, first: int, count: int) -> int:
        value = sum(column << (32 * j) for j, column in enumerate(self.weights[word]))
        return value >> first & ((1 << count) - 1)

    def _drain(self, tile: int, sums: list[list[int]], best: dict[tuple[int, int], int]) -> None:
        """Requantise the sums of a window position into ``best``, their maximum over the window by
        (pixel lane, column); a raw LAYER puts out the biased sums."""
        values, config = self.values, self.config
        units, chunks = config.post_units, values["drain_chunks"] + 1
        for pixel, chunk in self._repetitions("drain_pixels", "drain_chunks"):
            word = values["channel_base"] + tile * chunks + chunk
            if word >= config.channel_depth:
                raise OutsideError
            table = self.channels[word]
            biased = []
            for u in range(units):
                bias = _signed(table[2 * u], config.accumulator_bits)
                multiplier, shift = table[2 * u + 1] & 0xFFFF, table[2 * u + 1] >> 16
                m = chunk * units + u
                biased.append(sums[pixel][m] + bias)
                code = requantise(biased[-1], multiplier, shift, values["out_zero"], 8)
                code = min(int(code), values["out_max"])
                best[pixel, m] = max(best.get((pixel, m), 0), code)
            if values["raw"]:
                if len(self.results) == config.result_depth:
                    raise OutsideError
                self.results.append([_signed(s, config.accumulator_bits) for s in biased])

    def _write(self, start: int, best: Mapping[tuple[int, int], int]) -> None:
        """Write the codes of an output position to its words in each pixel lane's bank."""
        values, config = self.values, self.config
        words = (values["drain_chunks"] + 1) // config.chunks_per_word
        for pixel in range(values["drain_pixels"] + 1):
            for k in range(words):
                if start + k >= config.activation_depth:
                    raise OutsideError
                lanes = range(k * config.lanes, (k + 1) * config.lanes)
                self.memory[pixel, start + k] = [best[pixel, m] for m in lanes]
                self.written.add((pixel, start + k))
