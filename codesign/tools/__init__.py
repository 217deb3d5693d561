"""Operating-system helpers: external tools, workers, caches, locks, atomic writing of folders."""

__all__ = [
    "caches",
    "folders",
    "locks",
    "processes",
    "workers",
]
