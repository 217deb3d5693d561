"""Operating-system helpers: external tools, worker processes, locks, atomic writing of folders."""

__all__ = [
    "folders",
    "locks",
    "processes",
    "workers",
]
