"""Simulation of a build folder: runs its Verilog in Verilator and compares with its test vectors.

A build folder holds one generated NPU (rtl/), the layer program and memory images for one network,
and test vectors. This package reads no other part of the toolkit. It is copied into each folder, as
sim/, and runs there alone: ``python sim/run.py``.

run is the command, simulator builds and runs Verilator, bench and misuse are the cocotb tests, on
top of harness, npu and bus_models (AXI). judge and compare give the verdict, driver is a host
driver for real hardware, folder and layout read the files and formats, options passes settings to
the simulator process, cache and process handle the cache folder and subprocesses.
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
