"""Comparison of simulation and reference: the first differing value, and cycles per instruction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mismatch:
    """First value of a tensor that differs, in the order of channels, rows, columns.

    >>> expected, got = np.zeros((1, 2, 2), int), np.eye(2, dtype=int)[None]
    >>> print(first_mismatch(0, "conv1", "conv1", expected, got))
    image 0, layer conv1: conv1[channel 0, row 0, column 0] must be 0, got 1 (2 of 4 values differ)
    """

    image: int
    """Index of the image in vectors/inputs.npz."""
    layer: str
    """Name of the LAYER instruction that computed the tensor, the last one before its output; that
    of the output itself if there is none before it."""
    tensor: str
    """Name of the tensor."""
    channel: int
    """Channel; for logits the class, and row and column are 0."""
    row: int
    """Row of the tensor, from 0 on also in a band of rows."""
    column: int
    expected: int
    got: int
    wrong: int
    """Number of values of this tensor that differ."""
    values: int
    """Number of values of this tensor."""

    def __str__(self) -> str:
        return (
            f"image {self.image}, layer {self.layer}: {self.tensor}[channel {self.channel}, "
            f"row {self.row}, column {self.column}] must be {self.expected}, got {self.got} "
            f"({self.wrong} of {self.values} values differ)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name in JSON types, and ``str`` of the mismatch as ``text``."""
        return asdict(self) | {"text": str(self)}


def first_mismatch(
    image: int, layer: str, tensor: str, expected: NDArray[Any], got: NDArray[Any]
) -> Mismatch | None:
    """Compare two tensors of the same shape; return the first difference, None if all are equal.

    Codes have shape (channels, rows, columns), logits (classes,); first means in C order. image,
    layer and tensor are copied into the result.
    """
    different = expected != got
    if not different.any():
        return None
    place = np.unravel_index(int(np.argmax(different)), different.shape)
    channel, row, column = (*map(int, place), 0, 0)[:3]
    return Mismatch(
        image=image,
        layer=layer,
        tensor=tensor,
        channel=channel,
        row=row,
        column=column,
        expected=int(expected[place]),
        got=int(got[place]),
        wrong=int(different.sum()),
        values=int(different.size),
    )


def cycle_log(instructions: tuple[dict[str, Any], ...], log: list[int]) -> list[dict[str, Any]]:
    """Return expected and simulated cycles per instruction, one row each.

    Keys: index, opcode, name, expected, simulated; rows in order of index. Instruction 0 includes
    the start of the run.

    instructions: those of program.json. log: the NPU's cycle log; entry i is CYCLES at the end of
    the last instruction whose index is i modulo len(log). Instructions whose entry, or whose
    predecessor's entry, was overwritten are left out: the result has at most len(log) rows, and
    len(log) - 1 of a longer program.
    """
    entries = len(log)
    oldest = max(0, len(instructions) - entries)
    rows = []
    for entry in instructions[oldest:]:
        index = entry["index"]
        end = log[index % entries]
        if index == 0:
            # The count of the first instruction includes the start of the run, like its ``log``.
            simulated, expected = end, entry["log"]
        elif index == oldest:
            continue
        else:
            simulated, expected = end - log[(index - 1) % entries], entry["cycles"]
        rows.append(
            {
                "index": index,
                "opcode": entry["opcode"],
                "name": entry["name"],
                "expected": expected,
                "simulated": simulated,
            }
        )
    return rows
