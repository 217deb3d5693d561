"""The compiler: an integer network and an NpuConfig in, program and memory images out."""

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
    "minimal_depths",
    "plan",
    "worst_accumulator_bits",
]
