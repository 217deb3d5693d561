"""Harness of the cocotb tests: sets up and loads the NPU, and records each test's outcome."""

from __future__ import annotations

import contextlib
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

from sim import options
from sim.folder import BuildFolder, StoredProgram, Words, read
from sim.judge import Judge
from sim.layout import packets, unpack_logits
from sim.npu import CLOCK_NS, Hang, RunResult, SimulatedNpu

SLACK_CYCLES = 20_000
"""Cycles granted to a run on top of what its work can take, before it counts as hung."""
TEST_TIMEOUT_S = 5
"""Limit on a test in simulated seconds (500 million cycles), far above what any test takes."""

Test = Callable[["Bench"], Awaitable[dict[str, Any]]]
"""Body of a test: returns what is to be added to its outcome; raises AssertionError if it fails."""


class Bench:
    """Fixture of one test: the simulated NPU and the build folder it came from.

    dut: cocotb's handle of the top module. Options come from the file that the environment variable
    options.VARIABLE names; ``rng`` is seeded by their seed and first image; ``program`` is the
    normal one.
    """

    def __init__(self, dut: Any) -> None:
        self.options = options.load(Path(os.environ[options.VARIABLE]))
        self.folder: BuildFolder = read(Path(self.options.build))
        self.rng = random.Random(f"{self.options.seed} {self.options.first}")
        self.npu = SimulatedNpu(dut, self.folder, self.rng, self.options.stalls)
        self.program: StoredProgram = self.folder.programs["normal"]

    async def start_up(self) -> None:
        """Start the clock and bus models, reset the NPU, load its memories and normal program."""
        await self.npu.start_up()
        await self.npu.load_memories(self.folder.weights, self.folder.channels)
        await self.npu.load_program(self.program.words)

    def packets(self, index: int) -> list[Words]:
        """Return the input beats of image ``index`` in vectors/, uint32 (n_beats,) per packet.

        One packet, or one per band if the program loads the image in bands of rows.
        """
        return packets(self.folder.input, self.folder.inputs[index])

    def send_image(self, index: int) -> None:
        """Queue the packets of image ``index`` for the NPU, without waiting until it takes them."""
        for beats in self.packets(index):
            self.npu.send(beats)

    def error_name(self, code: int) -> str:
        """Return the name of an error code, or its number as text if it is unknown."""
        names: dict[str, int] = self.folder.hardware["errors"]
        return next((name for name, value in names.items() if value == code), str(code))

    def patience(self, program: StoredProgram) -> int:
        """Return the cycles, stalls included, after which a run of one image counts as hung.

        SLACK_CYCLES, twice the expected cycles, and 8 cycles per stream beat and per 32-bit word of
        external memory, more of these with random stalls.
        """
        beats = self.folder.input["beats"] + self.folder.output["beats"]
        beats += sum(self.folder.tensors[tensor]["beats"] for tensor in program.tensors("STORE"))
        beats += len(self.folder.memory)
        return SLACK_CYCLES + 2 * program.cycles + int(8 * beats / (1 - self.options.stalls))

    async def good_run(self, index: int = 0) -> None:
        """Run one inference of the normal program; assert no error, right logits and cycles.

        index: image in vectors/. The program must be loaded. Raises Hang.
        """
        result = await self.npu.infer(self.packets(index), self.patience(self.program))
        assert result.error == 0, f"error {self.error_name(result.error)} in a correct run"
        assert len(result.frames) == 1, f"{len(result.frames)} output packets instead of 1"
        logits = unpack_logits(self.folder.output, result.frames[0])
        expected = self.folder.expected[self.folder.output["name"]][index]
        assert np.array_equal(logits, expected), f"logits {logits} instead of {expected}"
        assert result.cycles == self.program.cycles, (
            f"{result.cycles} cycles instead of {self.program.cycles}"
        )

    async def judged_run(
        self, judge: Judge, index: int, program: StoredProgram
    ) -> RunResult | None:
        """Run one inference of image ``index`` on ``program``, which must be loaded.

        After an error or a hang, record it in ``judge`` and return None; the outputs of a good run
        are not judged here.
        """
        try:
            result = await self.npu.infer(self.packets(index), self.patience(program))
        except Hang as hang:
            judge.failure = f"image {index}: hang, {hang}"
            return None
        if result.error:
            judge.error(index, self.error_name(result.error), result.error_instruction)
            return None
        return result

    async def memory_run(self, judge: Judge, index: int) -> None:
        """Run one inference without random stalls, and judge its STALLS: waits for memory only.

        index: image in vectors/. It loads the normal program and leaves random stalls on. An error
        is recorded in ``judge``, too. Raises Hang, with random stalls off.
        """
        await self.npu.load_program(self.program.words)
        self.npu.hold_back(False)
        self.send_image(index)
        await self.npu.start()
        run = await self.npu.finish(self.patience(self.program))
        self.npu.hold_back(True)
        if run.error:
            judge.error(index, self.error_name(run.error), run.error_instruction)
        judge.waited(run.stalls)

    async def stream_runs(self, judge: Judge, first: int, images: int) -> None:
        """Run images back to back and judge them.

        First ``images`` images from index ``first`` on with random stalls, for bits and cycles;
        then one and two images without, whose difference is the interval from image to image
        (recorded in ``judge``, not judged). An error or a hang of a run ends this and is recorded.
        It loads the stream program and leaves random stalls on.
        """
        program = self.folder.programs["stream"]
        await self.npu.load_program(program.words)
        streamed = Judge(self.folder, program)
        lengths = {}
        for stalling, count in ((True, images), (False, 1), (False, 2)):
            self.npu.hold_back(stalling)
            codes = [self.packets(first + i % images)[0] for i in range(count)]
            try:
                run = await self.npu.stream(codes, count * self.patience(program))
            except Hang as hang:
                streamed.failure = f"{count} images back to back: hang, {hang}"
                break
            if run.error:
                streamed.error(first, self.error_name(run.error), run.error_instruction)
                break
            lengths[count] = run.cycles + run.stalls
            if stalling:
                streamed.stream(first, count, run.frames, run.cycles, run.log)
        else:
            judge.interval_cycles = lengths[2] - lengths[1]
        self.npu.hold_back(True)
        judge.also(streamed)

    async def expect_error(self, name: str, instruction: int) -> None:
        """Assert that the current run stops with that error, and that a correct run follows.

        name: of the error code; instruction: index of the one that stopped. In between the NPU is
        soft-reset and the normal program loaded again. Raises Hang.
        """
        result = await self.npu.finish(self.patience(self.program))
        found = (self.error_name(result.error), result.error_instruction)
        assert found == (name, instruction), f"error {found} instead of {(name, instruction)}"
        await self.npu.recover()
        await self.npu.load_program(self.program.words)
        await self.good_run()

    def patched(self, opcode: str, field: str) -> list[int]:
        """Return the normal program's bus words with an illegal bit, the one above ``field``.

        It is set in the first instruction with that opcode, and must be a bit that no field uses.
        """
        first, width = self.folder.hardware["fields"][opcode][field]
        word, bit = divmod(first + width, 32)
        words = list(self.program.words)
        words[self.bus_word(self.program.entry(opcode)) + word] |= 1 << bit
        return words

    def bus_word(self, entry: dict[str, Any]) -> int:
        """Return the index in a program's ``words`` (bus words) at which an instruction begins.

        entry: one of the program's ``instructions``.
        """
        columns: int = self.folder.hardware["program"]["columns"]
        return columns * int(entry["word"])


def bench_test(test: Test) -> Any:
    """Turn ``test`` into a cocotb test that runs on a fresh Bench and records its outcome.

    The outcome is appended to the options' result file as one JSON line: ``test``, ``failure``
    (None if it passed), ``clocks`` (cycles since the simulator's start, earlier tests included),
    and what the test returned, which may set ``failure``. A test that raises AssertionError or Hang
    adds nothing to it; another exception leaves no line. Where it cannot be appended the simulator
    ends with status EX_IOERR.
    """

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
            # Rewritten asserts append their operands on further lines; the first one is ours.
            outcome["failure"] = str(error).splitlines()[0]
        outcome["clocks"] = round(get_sim_time("ns") / CLOCK_NS)
        try:
            with Path(bench.options.result).open("a") as file:
                file.write(json.dumps(outcome) + "\n")
        except OSError as error:  # which cocotb would count as a failed test, and end with 0
            with contextlib.suppress(OSError):
                os.write(2, f"{error}\n".encode())
            os._exit(os.EX_IOERR)
        assert outcome["failure"] is None, outcome["failure"]

    del run.__wrapped__  # through it cocotb would inspect ``test`` instead of ``run``
    return cocotb.test(timeout_time=TEST_TIMEOUT_S, timeout_unit="sec")(run)
