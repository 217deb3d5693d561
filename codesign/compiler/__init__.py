"""Compiler from an integer network and an NPU configuration to programs and memory images.

``plan`` says what a network takes on an NPU (cycles, memory depths), from layer shapes alone where
weights are not known, fast enough for a search. ``compile_network`` turns a trained network into
everything that the NPU is loaded with. All scheduling is static, so the cycles of every instruction
are known at compile time.

Files: ``plan`` (its result: ``planned``), ``compile``, and the reasons why a network cannot run
(``checks``, ``overflow``; what external memory would change: ``remedies``), and what binds each
layer (``bottleneck``).
Rooms, in the order of the work:

- ``mapping``: layers onto array and buffers: loop tiling, spatial unrolling, memory allocation;
- ``program``: instructions, weight and channel images, stream layouts, stall cycles;
- ``tiling``: depth-first (fused-layer) tiling of feature maps larger than activation memory;
- ``zeros``: dead-work elimination: taps and weight digits that are zero are not computed.

The glossary of the compiler's terms is in docs/explanation/architecture.md.
"""

from codesign.compiler import bottleneck
from codesign.compiler.compile import CompiledNetwork, Program, compile_network
from codesign.compiler.overflow import (
    accumulator_bits,
    least_accumulator_bits,
    trained_accumulator,
    untrainable_reasons,
    worst_accumulator_bits,
)
from codesign.compiler.plan import minimal_depths, plan
from codesign.compiler.planned import LayerPlan, Plan
from codesign.compiler.program.layout import LogitsLayout, TensorLayout
from codesign.compiler.program.lookups import table_count

__all__ = [
    "CompiledNetwork",
    "LayerPlan",
    "LogitsLayout",
    "Plan",
    "Program",
    "TensorLayout",
    "accumulator_bits",
    "bottleneck",
    "compile_network",
    "least_accumulator_bits",
    "mapping",
    "minimal_depths",
    "plan",
    "program",
    "table_count",
    "tiling",
    "trained_accumulator",
    "untrainable_reasons",
    "worst_accumulator_bits",
    "zeros",
]
