"""What joins networks and NPUs: compiler, cost models, search, build, command line, report.

design (one network with its bits and its NPU, as one YAML file), results (estimates,
measurements, infeasibility), prediction (a design's figures before it is trained); the rest are
rooms.
"""

__all__ = [
    "build",
    "cli",
    "compiler",
    "cost",
    "design",
    "explore",
    "fpga",
    "prediction",
    "report",
    "results",
    "search",
    "tools",
]
