"""The compiler: an integer network and an NpuConfig in, program and memory images out.

plan (what a network takes, from shapes alone: what a search calls), compile (program and images of
a trained network), checks and overflow (why one cannot run). Rooms in the order of the work:
mapping/ (layers onto array and buffers), program/ (instructions and images), tiling/ (feature maps
that do not fit), zeros/ (work that zero weights make unnecessary).
"""

from codesign.compiler.compile import CompiledNetwork, Program, compile_network
from codesign.compiler.overflow import accumulator_bits, worst_accumulator_bits
from codesign.compiler.plan import LayerPlan, Plan, minimal_depths, plan
from codesign.compiler.program.layout import LogitsLayout, TensorLayout

__all__ = [
    "CompiledNetwork",
    "LayerPlan",
    "LogitsLayout",
    "Plan",
    "Program",
    "TensorLayout",
    "accumulator_bits",
    "compile_network",
    "mapping",
    "minimal_depths",
    "plan",
    "program",
    "tiling",
    "worst_accumulator_bits",
    "zeros",
]
