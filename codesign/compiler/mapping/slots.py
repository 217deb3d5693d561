"""Slots: which word and lane of a pixel hold which channel."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class SlotMap:
    """Channels of one tensor in the words of a pixel, counted from the tensor's own first word.

    A tensor that a layer writes fills its words in channel order. Concat puts such tensors side
    by side, each starting at a word of its own: a partly filled last word leaves a hole.
    """

    lanes: int
    channels: int
    words: int
    """Words from the first to the last one written, padding words included."""
    first_channels: tuple[int, ...] = (0,)
    """First channel of each segment, ascending; a segment fills words in channel order."""
    first_words: tuple[int, ...] = (0,)
    """First word of each segment."""

    @property
    def used_lanes(self) -> int:
        """Lanes that hold a channel in at least one word."""
        ends = (*self.first_channels[1:], self.channels)
        longest = max(end - first for first, end in zip(self.first_channels, ends, strict=True))
        return min(self.lanes, longest)

    def word(self, channel: int) -> int:
        segment = bisect_right(self.first_channels, channel) - 1
        return self.first_words[segment] + (channel - self.first_channels[segment]) // self.lanes

    def lane(self, channel: int) -> int:
        segment = bisect_right(self.first_channels, channel) - 1
        return (channel - self.first_channels[segment]) % self.lanes


def contiguous(lanes: int, channels: int, words: int) -> SlotMap:
    """A tensor of ``channels`` channels, written as ``words`` words a pixel."""
    return SlotMap(lanes, channels, words)


def stacked(parts: tuple[SlotMap, ...]) -> SlotMap:
    """Tensors side by side, as concat orders them."""
    channel, word = 0, 0
    first_channels: list[int] = []
    first_words: list[int] = []
    for part in parts:
        first_channels += [channel + first for first in part.first_channels]
        first_words += [word + first for first in part.first_words]
        channel += part.channels
        word += part.words
    return SlotMap(parts[0].lanes, channel, word, tuple(first_channels), tuple(first_words))
