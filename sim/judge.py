"""Verdict on inference runs: outputs and cycles compared with vectors/ and program.json."""

from __future__ import annotations

from typing import Any

from sim.compare import Mismatch, cycle_log, first_mismatch
from sim.folder import BuildFolder, StoredProgram, Words
from sim.layout import unpack, unpack_logits


class Judge:
    """Verdict over the runs of one program in one simulation; the first difference is kept.

    ``run``, ``error``, ``stream`` and ``waited`` add runs, ``outcome`` returns the result. The
    first mismatch of values and the first of cycles are kept; after a mismatch of values or a
    failure outputs are no longer compared.
    """

    def __init__(self, folder: BuildFolder, program: StoredProgram) -> None:
        self.folder = folder
        self.program = program
        self.images = 0
        self.mismatch: Mismatch | None = None
        self.failure: str | None = None
        """What kept outputs from being compared: error, hang, wrong number of packets or beats;
        None if nothing did."""
        self.cycle_mismatch: str | None = None
        self.instructions: list[dict[str, Any]] = []
        """Rows of ``compare.cycle_log`` for the first image that was judged."""
        self.cycles: int | None = None
        self.production_cycles: int | None = None
        """Simulated CYCLES of a run of the normal program; None if none was judged."""
        self.stalls = 0
        self.memory_wait_cycles = 0
        """STALLS of a run in which only memory made the NPU wait; 0 if there was none."""
        self.interval_cycles: int | None = None
        """Simulated cycles from image to image, back to back, waits for memory included, if no
        stream is ever late; None if that was not measured."""
        self._outputs = [
            entry for entry in program.instructions if entry["opcode"] in ("STORE", "EMIT")
        ]

    def error(self, image: int, name: str, index: int) -> None:
        """Record as ``failure`` that the NPU stopped with error ``name`` at instruction ``index``.

        image: its index in vectors/.
        """
        where = self.program.instructions[min(index, len(self.program.instructions) - 1)]
        self.failure = f"image {image}: error {name} at instruction {index} ({where['name']})"

    def run(
        self, image: int, frames: list[Words], cycles: int, stalls: int, log: list[int]
    ) -> None:
        """Judge a run of one image that ended without an error: output packets, CYCLES, cycle log.

        image: its index in vectors/; frames: beats of each output packet; stalls: STALLS, which are
        added up, not judged.
        """
        self.images += 1
        self.stalls += stalls
        self._outputs_of(image, frames)
        self._cycles_of(image, cycles, log)

    def stream(
        self, first: int, images: int, frames: list[Words], cycles: int, log: list[int]
    ) -> None:
        """Judge a run of the stream program: every image's logits, and the last image's cycles.

        first: index of the first image in vectors/; frames: one packet per image. CYCLES and the
        log's entries add up over the images, so the expected intervals of the images before the
        last one are subtracted, but not from instruction 0's entry: it runs once.
        """
        if len(frames) != images:
            self.failure = f"{images} images back to back: {len(frames)} output packets"
        for image, beats in enumerate(frames, start=first):
            if not (self.mismatch or self.failure):
                self._outputs_of(image, [beats])
        assert self.program.interval_cycles is not None
        before = (images - 1) * self.program.interval_cycles
        kept = len(self.program.instructions) <= len(log)
        shifted = [entry if kept and i == 0 else entry - before for i, entry in enumerate(log)]
        self._cycles_of(first + images - 1, cycles - before, shifted)

    def _cycles_of(self, image: int, cycles: int, log: list[int]) -> None:
        rows = cycle_log(self.program.instructions, log)
        if self.cycles is None:
            self.cycles, self.instructions = cycles, rows
        wrong = [row for row in rows if row["expected"] != row["simulated"]]
        if self.cycle_mismatch is None and (wrong or cycles != self.program.cycles):
            what = wrong[0] if wrong else {"name": "the run"}
            expected = what.get("expected", self.program.cycles)
            simulated = what.get("simulated", cycles)
            self.cycle_mismatch = (
                f"image {image}, {self.program.name} program: {what['name']} took {simulated} "
                f"cycles, {expected} expected"
            )

    def waited(self, stalls: int) -> None:
        """Judge the STALLS of a run of the normal program in which only memory made it wait.

        Another number than expected is a ``cycle_mismatch``.
        """
        self.memory_wait_cycles = stalls
        expected = self.folder.programs["normal"].wait_cycles
        if stalls != expected and self.cycle_mismatch is None:
            self.cycle_mismatch = (
                f"a run waits {stalls} cycles for memory, {expected} expected with a latency of "
                f"{self.folder.memory_latency_cycles}"
            )

    def production(self, other: Judge) -> None:
        """Add the verdict of ``other`` over a run of the normal program, and its cycles.

        ``other`` may be this judge itself.
        """
        self.production_cycles = other.cycles
        self.also(other)

    def also(self, other: Judge) -> None:
        """Take over each kind of fault that another judge found and this one did not."""
        self.failure = self.failure or other.failure
        self.mismatch = self.mismatch or other.mismatch
        self.cycle_mismatch = self.cycle_mismatch or other.cycle_mismatch

    def _outputs_of(self, image: int, frames: list[Words]) -> None:
        if self.mismatch or self.failure:
            return
        if len(frames) != len(self._outputs):
            self.failure = (
                f"image {image}: {len(frames)} output packets, {len(self._outputs)} expected"
            )
            return
        for entry, beats in zip(self._outputs, frames, strict=True):
            self.mismatch = self._output(image, entry, beats)
            if self.mismatch or self.failure:
                return

    def _output(self, image: int, entry: dict[str, Any], beats: Words) -> Mismatch | None:
        tensor = entry["tensor"]
        stored = entry["opcode"] == "STORE"
        layout = self.folder.tensors[tensor] if stored else self.folder.output
        if len(beats) != layout["beats"]:
            self.failure = (
                f"image {image}, {entry['name']}: {len(beats)} beats, {layout['beats']} expected"
            )
            return None
        expected = self.folder.expected[layout.get("whole", tensor)][image]
        if "rows" in layout:
            expected = expected[:, slice(*layout["rows"])]
        got = unpack(layout, beats) if stored else unpack_logits(layout, beats)
        return first_mismatch(image, self._layer(entry), tensor, expected, got)

    def _layer(self, entry: dict[str, Any]) -> str:
        """Return the name of the last LAYER before the output instruction ``entry``.

        That is ``entry``'s own name if there is no LAYER before it.
        """
        before = [
            other["name"]
            for other in self.program.instructions[: entry["index"]]
            if other["opcode"] == "LAYER"
        ]
        return str(before[-1] if before else entry["name"])

    def outcome(self) -> dict[str, Any]:
        """Return the verdict in JSON types; ``failure`` is a sentence, or None if all is right.

        ``failure`` is an error, hang or wrong length first, then a mismatch of values, then one of
        cycles. ``bit_exact`` is True if ``run`` judged an image, no value differs and nothing kept
        outputs from being compared, whatever the cycles. ``images`` and ``stall_cycles`` are those
        of ``run``; the other keys are attributes.
        """
        mismatch = str(self.mismatch) if self.mismatch else None
        return {
            "failure": self.failure or mismatch or self.cycle_mismatch,
            "bit_exact": self.images > 0 and not self.failure and not self.mismatch,
            "images": self.images,
            "mismatch": self.mismatch.to_dict() if self.mismatch else None,
            "cycle_mismatch": self.cycle_mismatch,
            "cycles": {"expected": self.program.cycles, "simulated": self.cycles},
            "production_cycles": self.production_cycles,
            "instructions": self.instructions,
            "memory_wait_cycles": self.memory_wait_cycles,
            "interval_cycles": self.interval_cycles,
            "stall_cycles": self.stalls,
        }


def table(result: dict[str, Any]) -> str:
    """Return what ``sim.run.simulate`` returned as text for the terminal, its last line not ended.

    It has expected and simulated cycles per instruction and of the run, images, faults, the other
    tests and the simulator's speed.
    """
    lines = []
    inference = result["inference"]
    if inference:
        rows = inference["instructions"]
        width = max([len(row["name"]) for row in rows] + [11])
        lines.append(f"{'instruction':{width}}  {'expected':>10}  {'simulated':>10}  cycles")
        for row in rows:
            mark = "ok" if row["expected"] == row["simulated"] else "DIFFERS"
            lines.append(
                f"{row['name']:{width}}  {row['expected']:>10}  {row['simulated']:>10}  {mark}"
            )
        cycles = inference["cycles"]
        lines.append(f"{'run':{width}}  {cycles['expected']:>10}  {cycles['simulated']!s:>10}")
        exact = "bit-exact" if inference["bit_exact"] else "NOT bit-exact"
        lines.append(f"{inference['images']} images {exact}")
        if inference["failure"]:
            lines.append(f"FAILED: {inference['failure']}")
    for test, failure in result["hardware"].items():
        lines.append(f"{test}: {failure or 'ok'}")
    speed = result["simulator"]
    lines.append(
        f"{speed['name']}: built in {speed['build_seconds']} s, ran {speed['run_seconds']} s, "
        f"{speed['clocks_per_second']} clocks/s"
    )
    return "\n".join(lines)
