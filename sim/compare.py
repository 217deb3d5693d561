"""Where simulation and reference part: the first difference, with its place and both values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mismatch:
    """The first value of a tensor that differs, in channel, row, column order."""

    image: int
    """Index into vectors/inputs.npz."""
    layer: str
    """The instruction whose output it is."""
    tensor: str
    channel: int
    """Class, for logits."""
    row: int
    column: int
    expected: int
    got: int
    wrong: int
    """How many values of this tensor differ."""
    values: int
    """How many it has."""

    def __str__(self) -> str:
        return (
            f"image {self.image}, layer {self.layer}: {self.tensor}[channel {self.channel}, "
            f"row {self.row}, column {self.column}] must be {self.expected}, got {self.got} "
            f"({self.wrong} of {self.values} values differ)"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"text": str(self)}


def first_mismatch(
    image: int, layer: str, tensor: str, expected: NDArray[Any], got: NDArray[Any]
) -> Mismatch | None:
    """Compare codes [channels, rows, columns] or logits [classes] of the same shape."""
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
    """Cycles per instruction, expected and simulated.

    log: the NPU's cycle log; entry i holds CYCLES at the end of the last instruction whose index is
    i modulo len(log). An instruction whose entry, or whose predecessor's, was written over is left
    out.
    """
    entries = len(log)
    oldest = max(0, len(instructions) - entries)
    rows = []
    for entry in instructions[oldest:]:
        index = entry["index"]
        end = log[index % entries]
        if index == 0:
            # The first instruction's count includes the start of the run, as its ``log`` does.
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
