"""Hardware/software co-design: the packages that map a quantised network onto an FPGA NPU.

design (network, bit widths and NPU configuration as one YAML file), goals (what a search makes
large or small), results (figures, budgets, settings of a search, reasons of infeasibility) and
prediction (resources, cycles and clock of a design before training) are modules; the other names
are packages.
"""

__all__ = [
    "build",
    "cli",
    "compiler",
    "cost",
    "design",
    "explore",
    "fpga",
    "goals",
    "prediction",
    "report",
    "results",
    "search",
    "tools",
]
