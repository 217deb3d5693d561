"""Simulation of a build folder: builds the simulator, drives the NPU, compares with the vectors.

Reads a build folder and nothing else; copied into it, this room runs there without the toolkit.
run (the command), simulator (Verilator), bench and misuse (cocotb tests), harness, npu,
bus_models (what they drive), judge and compare (the verdict), driver (the NPU for a host), folder
and layout (files and formats), cache and process (of the machine).
"""

__all__ = [
    "cache",
    "compare",
    "driver",
    "folder",
    "layout",
    "process",
    "run",
    "simulator",
]
