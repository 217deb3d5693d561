"""cocotb tests of misuse: the NPU must give the right error code or the right answer, never hang.

Each test ends with a correct run on the NPU that was misused, but for start_while_busy, whose
misused run must itself be correct. All return {}, nothing to add to the test's outcome.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.harness import SLACK_CYCLES, Bench, bench_test
from sim.layout import unpack_logits
from sim.npu import DISCARDING


@bench_test
async def illegal_opcode(bench: Bench) -> dict[str, Any]:
    """Run programs with an unknown opcode, as the first and as the second instruction.

    The run must stop there with OPCODE. The opcode word is drawn from four that are illegal.
    """
    next_free = max(bench.folder.hardware["opcodes"].values()) + 1
    for entry in bench.program.instructions[:2]:
        words = list(bench.program.words)
        words[bench.bus_word(entry)] = bench.rng.choice([next_free, 0xFF, 0x100, 0x8000_0000])
        await bench.npu.load_program(words)
        await bench.npu.start()
        if entry["index"]:
            bench.send_image(0)
        await bench.expect_error("OPCODE", entry["index"])
    return {}


@bench_test
async def illegal_field(bench: Bench) -> dict[str, Any]:
    """Run programs with a bit above a field's width: in a LOAD, a LAYER's slots, a record.

    The run must stop with FIELD at that instruction.
    """
    for opcode, field in (("LOAD", "base"), ("LAYER", "pad_code"), ("LAYER", "out_groups")):
        await bench.npu.load_program(bench.patched(opcode, field))
        await bench.npu.start()
        if opcode == "LAYER":
            bench.send_image(0)
        await bench.expect_error("FIELD", bench.program.entry(opcode)["index"])
    return {}


@bench_test
async def address_outside(bench: Bench) -> dict[str, Any]:
    """Run a LOAD that exceeds activation memory: it must stop with ADDRESS.

    Its base address is the highest one.
    """
    words = list(bench.program.words)
    first, width = bench.folder.hardware["fields"]["LOAD"]["base"]
    words[bench.bus_word(bench.program.entry("LOAD")) + first // 32] |= (1 << width) - 1
    await bench.npu.load_program(words)
    await bench.npu.start()
    bench.send_image(0)
    await bench.expect_error("ADDRESS", 0)
    return {}


@bench_test
async def program_without_end(bench: Bench) -> dict[str, Any]:
    """Run a program memory full of EMIT, without END: it must stop with PROGRAM behind the last."""
    depth = bench.folder.hardware["program"]["words"]
    emit = [bench.folder.hardware["opcodes"]["EMIT"], 0, 0, 0]
    await bench.npu.load_program(emit * (depth // 2))
    await bench.npu.start()
    await bench.expect_error("PROGRAM", depth // 2)
    return {}


@bench_test
async def early_tlast(bench: Bench) -> dict[str, Any]:
    """Send input packets that end after one beat, in the middle, or just before their end.

    Each run must stop with STREAM_SHORT at instruction 0, the LOAD.
    """
    beats = bench.packets(0)[0]
    for length in {1, len(beats) // 2, len(beats) - 1} - {0, len(beats)}:
        await bench.npu.start()
        bench.npu.send(beats[:length])
        await bench.expect_error("STREAM_SHORT", 0)
    return {}


@bench_test
async def late_tlast(bench: Bench) -> dict[str, Any]:
    """Send input packets that go on after the image; the rest must be discarded up to TLAST.

    Each run must stop with STREAM_LONG at instruction 0, the LOAD.
    """
    for extra in (1, 37):
        await bench.npu.start()
        bench.npu.send(np.concatenate([bench.packets(0)[0], np.arange(extra, dtype=np.uint32)]))
        for _ in range(100):
            await bench.npu.clocks(50)
            if bench.npu.source.idle():
                break
        assert bench.npu.source.idle(), "the rest of the packet was not taken"
        status = await bench.npu.read_register("STATUS")
        assert not status & DISCARDING, "still discarding after TLAST"
        await bench.expect_error("STREAM_LONG", 0)
    return {}


@bench_test
async def soft_reset(bench: Bench) -> dict[str, Any]:
    """Soft-reset the NPU while a run waits for input, and at random times within runs.

    STATUS must then be 0, and a run without loading anything again correct.
    """
    for share in (0.0, bench.rng.random(), bench.rng.random()):
        await bench.npu.start()
        if share:
            bench.send_image(0)
        await bench.npu.clocks(20 + int(share * bench.program.cycles))
        await bench.npu.recover()
        status = await bench.npu.read_register("STATUS")
        assert status == 0, f"STATUS is {status} after a soft reset"
        await bench.good_run()
    return {}


@bench_test
async def hard_reset(bench: Bench) -> dict[str, Any]:
    """Reset the NPU by aresetn at random times within runs, and load its memories again.

    STATUS must be 0 after the reset.
    """
    for _ in range(3):
        await bench.npu.start()
        bench.send_image(0)
        await bench.npu.clocks(20 + int(bench.rng.random() * bench.program.cycles))
        await bench.npu.reset()
        status = await bench.npu.read_register("STATUS")
        assert status == 0, f"STATUS is {status} after aresetn"
        await bench.npu.load_memories(bench.folder.weights, bench.folder.channels)
        await bench.npu.load_program(bench.program.words)
        await bench.good_run()
    return {}


@bench_test
async def start_while_busy(bench: Bench) -> dict[str, Any]:
    """Start the NPU again within a run, twice, which must change neither logits nor CYCLES."""
    await bench.npu.start()
    await bench.npu.start()
    bench.send_image(0)
    await bench.npu.clocks(bench.program.cycles // 3)
    await bench.npu.start()
    result = await bench.npu.finish(bench.patience(bench.program))
    assert result.error == 0, f"error {bench.error_name(result.error)}"
    assert result.cycles == bench.program.cycles, f"{result.cycles} cycles"
    logits = unpack_logits(bench.folder.output, result.frames[0])
    expected = bench.folder.expected[bench.folder.output["name"]][0]
    assert np.array_equal(logits, expected), f"logits {logits} instead of {expected}"
    return {}


@bench_test
async def watchdog(bench: Bench) -> dict[str, Any]:
    """Let the watchdog stop a run that takes too long, and one whose input never comes.

    Both must stop with WATCHDOG, the latter at instruction 0. A limit of 0 then means none.
    """
    await bench.npu.write_register("WATCHDOG", bench.program.cycles - 1)
    await bench.npu.start()
    bench.send_image(0)
    result = await bench.npu.finish(bench.patience(bench.program))
    assert bench.error_name(result.error) == "WATCHDOG", f"error {result.error}"
    await bench.npu.recover()
    await bench.npu.write_register("WATCHDOG", 500)
    await bench.npu.start()
    result = await bench.npu.finish(SLACK_CYCLES)
    found = (bench.error_name(result.error), result.error_instruction)
    assert found == ("WATCHDOG", 0), f"error {found}"
    await bench.npu.write_register("WATCHDOG", 0)
    await bench.npu.recover()
    await bench.good_run()
    return {}


@bench_test
async def stray_accesses(bench: Bench) -> dict[str, Any]:
    """Access unmapped addresses, read write-only and write read-only memory.

    The bus must answer all the same, and the identity registers keep their values.
    """
    for address in (0x40, 0x3FC, bench.folder.hardware["program"]["base"], 0x1FF_FFFC):
        await bench.npu.read(address, 1)
    for address in (0x40, bench.folder.hardware["log"]["base"], 0x30_0000):
        await bench.npu.write(address, [0xFFFF_FFFF])
    identity = [await bench.npu.read_register(name) for name in ("ID", "VERSION", "CONFIG_HASH")]
    expected = [bench.folder.hardware[name] for name in ("id", "isa_version", "config_hash")]
    assert identity == expected, f"identity registers {identity} instead of {expected}"
    await bench.good_run()
    return {}
