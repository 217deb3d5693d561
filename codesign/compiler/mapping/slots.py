"""Placement of a tensor's channels in the activation words of a pixel.

Feature maps are stored channels last: a pixel takes one or more words of N codes. The place of a
channel, a word of the pixel and a lane of that word, is its slot.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class SlotMap:
    """Word and lane of each channel in a pixel of one tensor, whose words count from 0.

    A layer fills words in channel order. Concat puts tensors side by side, each from a word of its
    own on, so that a partly filled last word leaves lanes empty.

    >>> both = stacked((contiguous(lanes=4, channels=6, words=2), contiguous(4, 3, 1)))
    >>> both.words, [(both.word(c), both.lane(c)) for c in (4, 5, 6, 7)]
    (3, [(1, 0), (1, 1), (2, 0), (2, 1)])
    """

    lanes: int
    channels: int
    words: int
    """Words of a pixel from the first to the last one written, padding words included."""
    first_channels: tuple[int, ...] = (0,)
    """First channel of each concatenated tensor, ascending; one entry without concat."""
    first_words: tuple[int, ...] = (0,)
    """First word of each concatenated tensor."""

    @property
    def used_lanes(self) -> int:
        """Number of lanes that hold a channel in at least one word; these are the first lanes."""
        ends = (*self.first_channels[1:], self.channels)
        longest = max(end - first for first, end in zip(self.first_channels, ends, strict=True))
        return min(self.lanes, longest)

    def word(self, channel: int) -> int:
        """Return the word of a pixel that holds ``channel``, counted from the tensor's first."""
        member = bisect_right(self.first_channels, channel) - 1
        return self.first_words[member] + (channel - self.first_channels[member]) // self.lanes

    def lane(self, channel: int) -> int:
        """Return the lane, 0..lanes - 1, that holds ``channel`` in its word."""
        member = bisect_right(self.first_channels, channel) - 1
        return (channel - self.first_channels[member]) % self.lanes


def contiguous(lanes: int, channels: int, words: int) -> SlotMap:
    """Return the slots of a tensor that one layer writes, as ``words`` words a pixel.

    That these hold all channels is not checked.
    """
    return SlotMap(lanes, channels, words)


def stacked(parts: tuple[SlotMap, ...]) -> SlotMap:
    """Return the slots of a concatenation of tensors with the slots ``parts``, in this order.

    All have words of equally many lanes, which is not checked.
    """
    channel, word = 0, 0
    first_channels: list[int] = []
    first_words: list[int] = []
    for part in parts:
        first_channels += [channel + first for first in part.first_channels]
        first_words += [word + first for first in part.first_words]
        channel += part.channels
        word += part.words
    return SlotMap(parts[0].lanes, channel, word, tuple(first_channels), tuple(first_words))
