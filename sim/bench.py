"""cocotb tests of correct use: inference compared with the test vectors, and a hundred runs."""

from __future__ import annotations

from typing import Any

from sim.harness import Bench, bench_test
from sim.judge import Judge

STREAM_IMAGES = 8
"""Most images of a run with images back to back."""


@bench_test
async def inference(bench: Bench) -> dict[str, Any]:
    """Compare every output bit and the cycles in the cycle log over the chosen images.

    With the option ``traced`` the outputs of all layers are compared, and the first image runs on
    the normal program as well. Then, unless a run failed (an error, a hang or a wrong number of
    packets or beats), follow a run that measures waits for memory, if the NPU has a memory port,
    and at most STREAM_IMAGES images back to back, if the build folder has a program for that.
    Returns ``Judge.outcome``, at once after an error or a hang of one of the chosen images. Raises
    Hang if the bus or the run that measures waits hangs.
    """
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
        production = Judge(bench.folder, bench.program)
        await bench.npu.load_program(bench.program.words)
        result = await bench.judged_run(production, first, bench.program)
        if result:
            production.run(first, result.frames, result.cycles, result.stalls, result.log)
        judge.production(production)
    else:
        judge.production(judge)
    if bench.npu.memory and not judge.failure:
        await bench.memory_run(judge, first)
    if "stream" in bench.folder.programs and not judge.failure:
        await bench.stream_runs(judge, first, min(bench.options.images, STREAM_IMAGES))
    return judge.outcome()


@bench_test
async def hundred_runs(bench: Bench) -> dict[str, Any]:
    """Run a hundred inferences in a row without a reset; each must have right logits and cycles.

    Image i is that with index i modulo the number of images in vectors/. Returns {}.
    """
    for index in range(100):
        await bench.good_run(index % len(bench.folder.inputs))
    return {}
