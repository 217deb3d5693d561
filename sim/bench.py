"""The cocotb tests: inference against the vectors, and every way to misuse the hardware.

Each test appends its outcome to the result file; one that leaves no line there has failed.
"""

from __future__ import annotations

import functools
import json
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.simtime import get_sim_time

from sim import npu as hardware
from sim import options
from sim.folder import BuildFolder, Program, Words, read
from sim.judge import Judge
from sim.layout import pack, unpack_logits
from sim.npu import CLOCK_NS, Hang, Npu, RunResult

SLACK_CYCLES = 20_000
TEST_TIMEOUT_S = 5
"""Simulated seconds (500 million cycles): far above any test here, but an end."""

Test = Callable[["Bench"], Awaitable[dict[str, Any]]]


class Bench:
    """One test's NPU, with its memories loaded, and the build folder it came from."""

    def __init__(self, dut: Any) -> None:
        self.options = options.load(Path(os.environ[options.VARIABLE]))
        self.folder: BuildFolder = read(Path(self.options.build))
        self.rng = random.Random(f"{self.options.seed} {self.options.first}")
        self.npu = Npu(dut, self.folder, self.rng, self.options.stalls)
        self.program: Program = self.folder.programs["normal"]

    async def start_up(self) -> None:
        await self.npu.start_up()
        await self.npu.load_memories(self.folder.weights, self.folder.channels)
        await self.npu.load_program(self.program.words)

    def image(self, index: int) -> Words:
        """Beats of one image."""
        return pack(self.folder.input, self.folder.inputs[index])

    def error_name(self, code: int) -> str:
        names: dict[str, int] = self.folder.hardware["errors"]
        return next((name for name, value in names.items() if value == code), str(code))

    def patience(self, program: Program) -> int:
        """Cycles after which a run counts as hung, stalls included."""
        beats = self.folder.input["beats"] + self.folder.output["beats"]
        beats += sum(self.folder.tensors[tensor]["beats"] for tensor in program.tensors("STORE"))
        return SLACK_CYCLES + 2 * program.cycles + int(8 * beats / (1 - self.options.stalls))

    async def good_run(self, index: int = 0) -> None:
        """One inference that must be right in error code, logits and cycles."""
        result = await self.npu.infer(self.image(index), self.patience(self.program))
        assert result.error == 0, f"error {self.error_name(result.error)} in a correct run"
        assert len(result.frames) == 1, f"{len(result.frames)} output packets instead of 1"
        logits = unpack_logits(self.folder.output, result.frames[0])
        expected = self.folder.expected[self.folder.output["name"]][index]
        assert np.array_equal(logits, expected), f"logits {logits} instead of {expected}"
        assert result.cycles == self.program.cycles, (
            f"{result.cycles} cycles instead of {self.program.cycles}"
        )

    async def judged_run(self, judge: Judge, index: int, program: Program) -> RunResult | None:
        """One run for the judge; None when it ended in an error or not at all."""
        try:
            result = await self.npu.infer(self.image(index), self.patience(program))
        except Hang as hang:
            judge.failure = f"image {index}: hang, {hang}"
            return None
        if result.error:
            judge.error(index, self.error_name(result.error), result.error_instruction)
            return None
        return result

    async def expect_error(self, name: str, instruction: int) -> None:
        """The run under way must stop with that error; then a correct run must follow."""
        result = await self.npu.finish(self.patience(self.program))
        found = (self.error_name(result.error), result.error_instruction)
        assert found == (name, instruction), f"error {found} instead of {(name, instruction)}"
        await self.npu.recover()
        await self.npu.load_program(self.program.words)
        await self.good_run()

    def patched(self, opcode: str, field: str) -> list[int]:
        """The program with the bit just above ``field`` set in the first such instruction."""
        fields: list[tuple[str, int]] = self.folder.hardware["fields"][opcode]
        slot = [known for known, _ in fields].index(field)
        words = list(self.program.words)
        words[self.program.entry(opcode)["word"] + 1 + slot // 2] |= (
            1 << fields[slot][1] << 16 * (slot % 2)
        )
        return words


def bench_test(test: Test) -> Any:
    """A cocotb test that runs ``test`` on a fresh Bench and writes its outcome down."""

    @functools.wraps(test)
    async def run(dut: Any) -> None:
        bench = Bench(dut)
        outcome: dict[str, Any] = {"test": test.__name__, "failure": None}
        try:
            await bench.start_up()
            outcome |= await test(bench)
        except Hang as error:
            outcome["failure"] = f"hang, {error}"
        except AssertionError as error:
            # cocotb's rewritten asserts append their operands on further lines.
            outcome["failure"] = str(error).splitlines()[0]
        outcome["clocks"] = round(get_sim_time("ns") / CLOCK_NS)
        with Path(bench.options.result).open("a") as file:
            file.write(json.dumps(outcome) + "\n")
        assert outcome["failure"] is None, outcome["failure"]

    del run.__wrapped__  # cocotb would look through to ``test``
    return cocotb.test(timeout_time=TEST_TIMEOUT_S, timeout_unit="sec")(run)


@bench_test
async def inference(bench: Bench) -> dict[str, Any]:
    """All images; every output bit and every instruction's cycles."""
    program = bench.folder.programs["traced" if bench.options.traced else "normal"]
    await bench.npu.load_program(program.words)
    judge = Judge(bench.folder, program)
    first = bench.options.first
    for index in range(first, first + bench.options.images):
        result = await bench.judged_run(judge, index, program)
        if result is None:
            return judge.outcome()
        judge.run(index, result.frames, result.cycles, result.stalls, result.log)
    if bench.options.traced:
        await bench.npu.load_program(bench.program.words)
        result = await bench.judged_run(judge, first, bench.program)
    if result:
        judge.production(bench.program, result.cycles)
    return judge.outcome()


@bench_test
async def hundred_runs(bench: Bench) -> dict[str, Any]:
    """A hundred inferences in a row without a reset."""
    for index in range(100):
        await bench.good_run(index % len(bench.folder.inputs))
    return {}


@bench_test
async def illegal_opcode(bench: Bench) -> dict[str, Any]:
    """An unknown opcode as the first and as the second instruction."""
    for entry in bench.program.instructions[:2]:
        words = list(bench.program.words)
        words[entry["word"]] = bench.rng.choice([5, 0xFF, 0x100, 0x8000_0000])
        await bench.npu.load_program(words)
        await bench.npu.start()
        if entry["index"]:
            bench.npu.send(bench.image(0))
        await bench.expect_error("OPCODE", entry["index"])
    return {}


@bench_test
async def illegal_field(bench: Bench) -> dict[str, Any]:
    """A field with a bit above its width, in a LOAD and in a LAYER."""
    for opcode, field in (("LOAD", "base"), ("LAYER", "out_max"), ("LAYER", "in_base")):
        await bench.npu.load_program(bench.patched(opcode, field))
        await bench.npu.start()
        if opcode == "LAYER":
            bench.npu.send(bench.image(0))
        await bench.expect_error("FIELD", bench.program.entry(opcode)["index"])
    return {}


@bench_test
async def address_outside(bench: Bench) -> dict[str, Any]:
    """A LOAD that runs out of the activation memory."""
    words = list(bench.program.words)
    width = dict(bench.folder.hardware["fields"]["LOAD"])["base"]
    words[bench.program.entry("LOAD")["word"] + 1] |= (1 << width) - 1
    await bench.npu.load_program(words)
    await bench.npu.start()
    bench.npu.send(bench.image(0))
    await bench.expect_error("ADDRESS", 0)
    return {}


@bench_test
async def program_without_end(bench: Bench) -> dict[str, Any]:
    """Program memory full of EMIT."""
    depth = bench.folder.hardware["program"]["words"]
    emit = [bench.folder.hardware["opcodes"]["EMIT"], 0]
    await bench.npu.load_program(emit * (depth // 2))
    await bench.npu.start()
    await bench.expect_error("PROGRAM", depth // 2)
    return {}


@bench_test
async def early_tlast(bench: Bench) -> dict[str, Any]:
    """An input packet that ends in the middle of the image, or just before its end."""
    beats = bench.image(0)
    for length in {1, len(beats) // 2, len(beats) - 1} - {0, len(beats)}:
        await bench.npu.start()
        bench.npu.send(beats[:length])
        await bench.expect_error("STREAM_SHORT", 0)
    return {}


@bench_test
async def late_tlast(bench: Bench) -> dict[str, Any]:
    """An input packet that goes on after the image: the rest is discarded up to TLAST."""
    for extra in (1, 37):
        await bench.npu.start()
        bench.npu.send(np.concatenate([bench.image(0), np.arange(extra, dtype=np.uint32)]))
        for _ in range(100):
            await bench.npu.clocks(50)
            if bench.npu.source.idle():
                break
        assert bench.npu.source.idle(), "the rest of the packet was not taken"
        status = await bench.npu.read_register("STATUS")
        assert not status & hardware.DISCARDING, "still discarding after TLAST"
        await bench.expect_error("STREAM_LONG", 0)
    return {}


@bench_test
async def soft_reset(bench: Bench) -> dict[str, Any]:
    """Soft reset while the run waits for input, and at random times within it."""
    for share in (0.0, bench.rng.random(), bench.rng.random()):
        await bench.npu.start()
        if share:
            bench.npu.send(bench.image(0))
        await bench.npu.clocks(20 + int(share * bench.program.cycles))
        await bench.npu.recover()
        status = await bench.npu.read_register("STATUS")
        assert status == 0, f"STATUS is {status} after a soft reset"
        await bench.good_run()
    return {}


@bench_test
async def hard_reset(bench: Bench) -> dict[str, Any]:
    """aresetn at random times within a run; the memories are loaded again, as after power-up."""
    for _ in range(3):
        await bench.npu.start()
        bench.npu.send(bench.image(0))
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
    """Further starts within a run change nothing."""
    await bench.npu.start()
    await bench.npu.start()
    bench.npu.send(bench.image(0))
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
    """A run that takes too long, and one whose input never comes."""
    await bench.npu.write_register("WATCHDOG", bench.program.cycles - 1)
    await bench.npu.start()
    bench.npu.send(bench.image(0))
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
    """Accesses to addresses without a register, and reads of write-only memory, are answered."""
    for address in (0x40, 0x3FC, bench.folder.hardware["program"]["base"], 0x1FF_FFFC):
        await bench.npu.read(address, 1)
    for address in (0x40, bench.folder.hardware["log"]["base"], 0x30_0000):
        await bench.npu.write(address, [0xFFFF_FFFF])
    identity = [await bench.npu.read_register(name) for name in ("ID", "VERSION", "CONFIG_HASH")]
    expected = [bench.folder.hardware[name] for name in ("id", "isa_version", "config_hash")]
    assert identity == expected, f"identity registers {identity} instead of {expected}"
    await bench.good_run()
    return {}
