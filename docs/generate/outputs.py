"""What the tool writes for machines: summary.json, reports, program.json; from the classes."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from codesign.build.verification import LayerCycles, Verification
from codesign.compiler.mapping.unfolding import InputWindow
from codesign.compiler.program.layout import LogitsLayout, TensorLayout
from codesign.explore import Standing
from codesign.explore.telling import summary
from codesign.fpga.placement import CriticalPath, Hop, Placement
from codesign.fpga.synthesis import Synthesis
from codesign.results import Budget, Figures, Infeasible
from docs.generate.markdown import Generator, code, table
from docs.generate.sources import field_docs, parse, sentence
from models.integer.bits import LayerBits
from models.training.history import Epoch

UNSAID: Mapping[str, str] = {
    "ffs": "flip-flops",
    "dsps": "DSP slices; 18 x 18 multipliers on an ECP5",
    "cycles_per_image": "cycles of one image",
    "images_per_second": "at the clock that was asked for",
    "luts": "LUTs",
    "brams": "36 Kb block RAMs",
    "max_latency_us": "microseconds per image",
    "clock_mhz": "clock that images per second are counted at",
    "need": "how much of the resource is needed",
    "have": "how much there is",
    "unit": "unit of `need` and `have`",
    "bit_exact": "every compared value is equal",
    "images": "images that were simulated",
    "cycles_expected": "cycles of one image as compiled",
    "cycles_simulated": "the same, simulated",
    "layers": "one object an instruction, see below",
    "simulator": "name and version, seconds of build and run, clocks per second",
    "name": "name of the instruction",
    "opcode": "its opcode",
    "expected": "cycles as compiled",
    "simulated": "cycles as simulated",
    "family": "`xc7` or `ecp5`",
    "tool_version": "version of the tool",
    "synthesis_version": "version of Yosys",
    "warnings": "what Yosys warned of",
    "target_mhz": "clock that the placer strove for",
    "critical_path": "see below",
    "fmax_mhz": "highest clock",
    "device": "the part",
    "speed_grade": "6 is the slowest",
    "seed": "of the placer",
    "start": "first register",
    "end": "last register",
    "routing_ns": "delay of the wires",
    "beats_per_word": "32-bit beats of a word",
    "shape": "channels, rows, columns",
    "strip_rows": "rows of a full strip",
    "last_rows": "rows of the last strip",
    "by_module": "Verilog module -> `instances` and `each`, the figures of one instance",
    "figures": "figures of the whole design",
    "classes": "number of classes",
    "beats": "beats of the stream",
    "kernel": "rows and columns of a window",
    "stride": "steps between windows, rows and columns",
    "dilation": "steps between the values of a window, rows and columns",
    "padding": "rows above and columns left of the image",
    "pad_code": "code outside the image",
    "weights": "weights of the layer",
    "zero_weights": "those that are 0",
    "blocks": "weight words of one digit: output channels of a tile by lanes at a kernel position",
    "zero_blocks": "those of zeros alone",
}
"""Of fields without a docstring of their own."""
SUMMARY: Mapping[str, str] = {
    "status": "the exit status: 0, 1 or 3",
    "problem": "one sentence when the status is not 0, else `null`",
    "design": "path of the chosen design, relative to the summary's folder",
    "build": "path of its build folder",
    "report": "path of the HTML page",
    "dataset": "the data set",
    "seed": "the seed",
    "accuracy": "`validation` and `test`, 0..1; the test split decides nothing",
    "scores": "by part of the data: `share` (accuracy, 0..1), `images`, and `low` and `high` of "
    "its 95 % interval (Wilson)",
    "classes": "names of the classes, in the order of their numbers",
    "per_class": "by class name: recall on the test split, and its images",
    "one_bits": "`total` and `per_weight`: ones of the trained weights' magnitudes",
    "estimate": "figures as predicted (table below)",
    "notes": "a sentence for everything that was guessed, cut or is doubtful",
    "simulated": "figures as simulated, with `images` and `bit_exact`",
    "synthesised": "figures as Yosys finds them",
    "budget": "the limits that were asked for (table below)",
    "wall_seconds": "wall time of the whole run",
    "peak_memory_bytes": "the most that the main process held, plus the most that any one process "
    "beside it held",
    "front": "designs on the Pareto front and the chosen one, the most accurate first: `label`, "
    "`key` of the network, validation `accuracy`, `trained_fully` (false: it is that of the short "
    "training), estimated `images_per_second`, `luts` and `brams`, `chosen`",
    "zoo": "of a search with a `zoo`: `networks` that were searched, each with `name`, `path` and "
    "`trials`; `left_out`, each with `path` and `reason`; name of the `chosen` one",
    "layers": "of a search with a `network` or a `zoo`, one object for each layer of the design: "
    "`name`, `channels` of the `of_channels` that the network had, `weight_bits`, "
    "`activation_bits`, `sparsity`, `cycles`, and what it is `bound` by",
    "search": "`strategy`; `evaluations`, designs that were estimated; `feasible_share` of the "
    "`sampled` ones, drawn uniformly, that is within the budget and may be 0, and "
    "`feasible_share_interval`, the ends of its 95 % interval (Wilson); `space_size`, all "
    "designs of the space",
    "networks_trained": "networks that were trained briefly",
    "networks_trained_fully": "those of them that were trained in full",
    "folds": "settled validation accuracies on each of the `--folds`, by key of the network",
    "attempts": "one object for each design that was synthesised, in order: `design`, `config` "
    "(hash) and its figures",
    "stage_seconds": "wall time of each stage, and of none (`other`); `first_samples` compiles the "
    "loops of the estimates unless an earlier run has, `estimates` is the choice "
    "of what to train",
    "reasons": "with status 3: why nothing is feasible, a list (table below)",
    "nearest": "with status 3: the design with the least violation that was found: `label`, "
    "`violation` (sum of relative excesses), the `binding` constraints and its estimated `figures`",
    "would_fit": "with status 3, one object for each limit that one of the designs found breaks "
    "alone: `limit`, the `option` that sets it, the value `asked` and the one that is `enough` for "
    "the design `label`; found, not proven to be the least, unless the whole space was enumerated",
}
"""Keys of summary.json; ``summary_keys`` are those that the code writes."""


def summary_keys() -> list[str]:
    """From the dictionaries that the ``*_summary`` functions return, and what status 3 has."""
    tree = parse(Path(str(summary.__file__)))
    found: dict[str, None] = {}
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        if not function.name.endswith("_summary"):
            continue
        for statement in function.body:
            value = statement.value if isinstance(statement, ast.Return) else None
            if isinstance(value, ast.Dict):
                keys = (key for key in value.keys if isinstance(key, ast.Constant))
                found |= dict.fromkeys(str(key.value) for key in keys)
    return [*found, "reasons", "nearest", "would_fit"]


def summary_rows() -> str:
    rows = [(code(key), sentence(SUMMARY[key])) for key in summary_keys()]
    return table(("key", "value"), rows)


def fields(kind: type, more: Iterable[tuple[str, str]] = (), without: Iterable[str] = ()) -> str:
    """A table of a class's fields, of ``more`` keys, but not those ``without``."""
    docs = field_docs(kind)
    rows = [
        (code(field.name), docs.get(field.name) or sentence(UNSAID.get(field.name, "")))
        for field in dataclasses.fields(kind)
        if field.name not in set(without)
    ]
    return table(("key", "value"), [*rows, *((code(key), sentence(text)) for key, text in more)])


def verification() -> str:
    """Verification.to_dict: figures at the top level, both cycle counts in one object."""
    both = ("cycles", "`expected` and `simulated`, of the program that was run")
    return fields(Verification, [both], ("figures", "cycles_expected", "cycles_simulated"))


def tensor_layout() -> str:
    counts = [("words", "activation words of one image"), ("beats", "stream beats of one image")]
    return fields(TensorLayout, counts)


def logits_layout() -> str:
    return fields(LogitsLayout, [("classes", "channels times rows times columns")])


GENERATORS: Mapping[str, Generator] = {
    "summary": summary_rows,
    "figures": lambda: fields(Figures),
    "budget": lambda: fields(Budget),
    "standing": lambda: fields(Standing),
    "infeasible": lambda: fields(Infeasible),
    "verification": verification,
    "layer-cycles": lambda: fields(LayerCycles),
    "synthesis": lambda: fields(Synthesis, without=("figures",)),
    "placement": lambda: fields(Placement),
    "critical-path": lambda: fields(CriticalPath),
    "hop": lambda: fields(Hop),
    "layer-bits": lambda: fields(LayerBits),
    "epoch": lambda: fields(Epoch),
    "tensor-layout": tensor_layout,
    "logits-layout": logits_layout,
    "input-window": lambda: fields(InputWindow),
}
