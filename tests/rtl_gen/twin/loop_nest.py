"""LAYER as the instruction set page writes it: one tap at a time, plain integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from models.arithmetic import requantise
from rtl_gen.config import NpuConfig

Memory = dict[tuple[int, int], list[int]]
"""Lane codes by (bank, address)."""


class OutsideError(Exception):
    """A read or write left a buffer."""


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _count(fields: Mapping[str, int], *names: str) -> Iterator[tuple[int, ...]]:
    return product(*(range(fields.get(name, 0) + 1) for name in names))


class LoopNest:
    """Runs one LAYER; ``memory`` changes in place, ``results`` collects raw words."""

    def __init__(
        self,
        config: NpuConfig,
        fields: Mapping[str, int],
        memory: Memory,
        weights: list[list[int]],
        channels: list[list[int]],
    ) -> None:
        self.config, self.f = config, fields
        self.memory, self.weights, self.channels = memory, weights, channels
        self.results: list[list[int]] = []
        self.read: set[tuple[int, int]] = set()
        self.written: set[tuple[int, int]] = set()

    def run(self) -> None:
        f, config = self.f, self.config
        pointers = 2 * config.activation_depth
        block = (f["passes"] + 1) * (f["kernel_rows"] + 1)
        block *= (f["kernel_cols"] + 1) * (f["groups"] + 1) * (f.get("phases", 0) + 1)
        for tile in range(f["out_groups"] + 1):
            positions = _count(f, "out_rows", "out_cols")
            for position, (row, column) in enumerate(positions):
                best: dict[tuple[int, int], int] = {}
                for window_row, window_column in _count(f, "pool_rows", "pool_cols"):
                    acc = self._accumulate(tile, block, row, column, window_row, window_column)
                    self._post(tile, acc, best)
                start = f["out_base"] + tile * f["out_group_words"]
                start += position * f["out_pixel_words"]
                if not f["raw"]:
                    self._write(start % pointers, best)

    def _row(self, row: int, window_row: int, kernel_row: int) -> tuple[int, int, int]:
        f = self.f
        strip, at, words = f["strip_first"], f["row_first"], f["row_first_words"]
        steps = [(f["out_row_step"], f["out_row_words"])] * row
        steps += [(f["pool_row_step"], f["pool_row_words"])] * window_row
        steps += [(1, f["row_words"])] * kernel_row
        for rows, step_words in steps:
            at, words = at + rows, words + step_words
            if at >= f["strip_rows"]:
                strip, at, words = strip + 1, at - f["strip_rows"], words - f["strip_words"]
        return _signed(strip, 6), at, words

    def _accumulate(
        self, tile: int, block: int, row: int, column: int, window_row: int, window_column: int
    ) -> list[list[int]]:
        f, config = self.f, self.config
        acc = [[0] * config.columns for _ in range(config.pixels)]
        word = f["weight_base"] + tile * block
        signs = f["passes"] + 1 >= config.least_passes
        levels = ("passes", "kernel_rows", "kernel_cols", "groups", "phases")
        for passed, ky, kx, group, phase in _count(f, *levels):
            if (ky, kx, group, phase) == (0, 0, 0, 0) and passed:
                acc = [[value << config.weight_digit_bits for value in pixel] for pixel in acc]
            if word >= config.weight_depth:
                raise OutsideError
            strip, at, words = self._row(row, window_row, ky)
            x = f["col_first"] + column * f["out_col_step"]
            x = _signed(x + window_column * f["pool_col_step"] + kx, 12)
            words += f["in_base"] + tile * f["in_group_step"] + column * f["out_col_words"]
            words += window_column * f["pool_col_words"] + kx * f["col_words"]
            address = (words + group * f["group_words"]) % (2 * config.activation_depth)
            for pixel in range(config.pixels):
                codes = self._codes(pixel + strip, at, x, address)
                for m in range(config.columns):
                    for slot in range(config.slots):
                        digit = self._digit(word, m, slot, signs=signs and not passed)
                        acc[pixel][m] += codes[self._lane(word, m, slot)] * digit
            word += 1
        return [[_signed(value, config.accumulator_bits) for value in pixel] for pixel in acc]

    def _codes(self, bank: int, row: int, x: int, address: int) -> list[int]:
        f, config = self.f, self.config
        outside = bank < 0 or bank > f["last_strip"] or not 0 <= x < f["col_limit"]
        if outside or (bank == f["last_strip"] and row >= f["last_rows"]):
            return [f["pad_code"]] * config.lanes
        if address >= config.activation_depth or bank >= config.pixels:
            raise OutsideError
        self.read.add((bank, address))
        return self.memory[bank, address]

    def _digit(self, word: int, m: int, slot: int, *, signs: bool) -> int:
        bits = self.config.weight_digit_bits
        digit = self._bits(word, (m * self.config.slots + slot) * bits, bits)
        return _signed(digit, bits) if signs else digit

    def _lane(self, word: int, m: int, slot: int) -> int:
        """The lane that a slot of a group multiplies."""
        config, bits = self.config, self.config.index_bits
        first = config.columns * config.slots * config.weight_digit_bits
        index = self._bits(word, first + (m * config.slots + slot) * bits, bits)
        group, k = divmod(slot, config.kept)
        return group * config.group + k + min(index, config.group - config.kept)

    def _bits(self, word: int, first: int, count: int) -> int:
        value = sum(column << (32 * j) for j, column in enumerate(self.weights[word]))
        return value >> first & ((1 << count) - 1)

    def _post(self, tile: int, acc: list[list[int]], best: dict[tuple[int, int], int]) -> None:
        f, config = self.f, self.config
        units = config.post_units
        for pixel, chunk in _count(f, "drain_pixels", "drain_chunks"):
            word = f["channel_base"] + tile * (f["drain_chunks"] + 1) + chunk
            if word >= config.channel_depth:
                raise OutsideError
            table = self.channels[word]
            sums = []
            for u in range(units):
                bias = _signed(table[2 * u], config.accumulator_bits)
                multiplier, shift = table[2 * u + 1] & 0xFFFF, table[2 * u + 1] >> 16
                m = chunk * units + u
                sums.append(acc[pixel][m] + bias)
                code = requantise(sums[-1], multiplier, shift, f["out_zero"], 8)
                code = min(int(code), f["out_max"])
                best[pixel, m] = max(best.get((pixel, m), 0), code)
            if f["raw"]:
                if len(self.results) == config.result_depth:
                    raise OutsideError
                self.results.append([_signed(s, config.accumulator_bits) for s in sums])

    def _write(self, start: int, best: Mapping[tuple[int, int], int]) -> None:
        f, config = self.f, self.config
        words = (f["drain_chunks"] + 1) // config.chunks_per_word
        for pixel in range(f["drain_pixels"] + 1):
            for k in range(words):
                if start + k >= config.activation_depth:
                    raise OutsideError
                lanes = range(k * config.lanes, (k + 1) * config.lanes)
                self.memory[pixel, start + k] = [best[pixel, m] for m in lanes]
                self.written.add((pixel, start + k))
