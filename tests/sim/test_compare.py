"""Comparison of simulated results finds the first difference and every wrong cycle count."""

from __future__ import annotations

import numpy as np

from sim.compare import cycle_log, first_mismatch


def test_the_first_difference_is_found_in_channel_row_column_order():
    expected = np.zeros((3, 4, 5), np.uint8)
    got = expected.copy()
    assert first_mismatch(7, "conv", "t", expected, got) is None
    got[2, 0, 0] = 9
    got[1, 3, 4] = 250
    found = first_mismatch(7, "conv", "t", expected, got)
    assert found is not None
    assert str(found) == (
        "image 7, layer conv: t[channel 1, row 3, column 4] must be 0, got 250 "
        "(2 of 60 values differ)"
    )


def test_a_difference_of_logits_names_the_class():
    found = first_mismatch(0, "fc", "logits", np.array([1, -2, 3]), np.array([1, 2, 3]))
    assert found is not None
    assert (found.channel, found.row, found.column, found.expected, found.got) == (1, 0, 0, -2, 2)


def instructions(cycles, start=3):
    """Return the entries of program.json for LAYERs of these cycles."""
    log, rows = start, []
    for index, count in enumerate(cycles):
        log += count
        rows.append(
            {"index": index, "opcode": "LAYER", "name": f"l{index}", "cycles": count, "log": log}
        )
    return tuple(rows)


def test_cycles_per_instruction_are_differences_of_the_log():
    program = instructions([10, 20, 30])
    rows = cycle_log(program, [13, 33, 64] + [0] * 5)
    assert [row["simulated"] for row in rows] == [13, 20, 31]
    assert [row["expected"] for row in rows] == [13, 20, 30]


def test_a_log_that_wrapped_keeps_the_last_instructions():
    program = instructions([1] * 10)
    log = [0] * 4
    for entry in program:
        log[entry["index"] % 4] = entry["log"]
    rows = cycle_log(program, log)
    assert [row["index"] for row in rows] == [7, 8, 9]
    assert all(row["simulated"] == row["expected"] == 1 for row in rows)
