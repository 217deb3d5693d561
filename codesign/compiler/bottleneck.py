"""The bottleneck of each layer: the part of its cycles and stalls that is the largest.

The parts of HotNAS (Jiang et al., arXiv 2007.09087, section 3.1): computing, loading of weights, of
input maps, storing of output maps; and of this NPU post-processing and control. They are exact:
their sum is the cycles of ``rtl_gen.timing`` and the stalls of ``program.memory``. Where two things
run beside each other, the one that ends last has the time: making the other faster gains nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from codesign.compiler.planned import Plan
from codesign.compiler.program.memory import waits
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode

COMPUTE, POST, CONTROL = "compute", "post units", "control"
WEIGHTS, LOADS, STORES = "weight loads", "input loads", "stores"
BOUNDS = (COMPUTE, POST, WEIGHTS, LOADS, STORES, CONTROL)
"""Compute: cycles whose number the array's products set. Post units: those that draining
accumulators sets, during which the array waits. Loads and stores: those that a transfer over the
memory port sets, stalls and the layer beside it. Control: issue of instructions, and the way
through the pipeline."""
_MOVED = {Opcode.FETCH: WEIGHTS, Opcode.FILL: LOADS, Opcode.SPILL: STORES}
Parts = Counter[str]
"""Cycles by name of BOUNDS."""


def layer_parts(config: NpuConfig, fields: Mapping[str, int], cycles: int) -> Parts:
    """Return the parts of a LAYER with these fields, whose cycles they add up to.

    Taps and drains of successive outputs run beside each other: the longer of them has the time.
    """
    work = timing.layer_work(fields)
    first = (1 + work.fills) * work.taps
    rows, others = work.rows - 1, work.tiles - work.rows
    compute = first + rows * first * (first >= work.drain)
    compute += others * work.taps * (work.taps >= work.drain)
    control = timing.issue_cycles(config, Opcode.LAYER) + timing.flush_cycles(config)
    return Counter({COMPUTE: compute, CONTROL: control, POST: cycles - compute - control})


def bound(parts: Mapping[str, int]) -> str:
    """Return the name of the largest part; of equal ones the first of BOUNDS."""
    return max(BOUNDS, key=lambda name: parts.get(name, 0))


def tensor_parts(planned: Plan) -> dict[str, Parts]:
    """Return the parts of all LAYERs of each tensor: their cycles, and the stalls behind them.

    A LAYER whose transfers end later than itself counts as theirs, as a faster array would wait for
    longer; stalls before the first LAYER count to this one.
    """
    config = planned.schedule.config
    found: dict[str, Parts] = {}
    last, before = Parts(), Parts()
    for step, wait in zip(planned.steps, waits(config, planned.steps), strict=True):
        opcode = step.instruction.opcode
        if opcode is Opcode.LAYER:
            assert step.tensor is not None
            last = layer_parts(config, step.instruction.fields, step.cycles) + before
            before.clear()
            own = found.setdefault(step.tensor, Parts())
            own.update(last)
        elif wait and found:
            moved = Parts({_MOVED[opcode]: last.total()})
            own.subtract(last)
            own.update(moved)
            own[_MOVED[opcode]] += wait
            last = moved
        elif wait:
            before[_MOVED[opcode]] += wait
    return found


def bounds(planned: Plan) -> tuple[str, ...]:
    """Return what binds each of ``planned.layers``, as ``bound`` names it."""
    found = tensor_parts(planned)
    return tuple(bound(found[shape.layer.output]) for shape in planned.schedule.shapes)
