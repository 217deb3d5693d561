"""Operating-system helpers: external tools, workers, caches, locks."""

__all__ = [
    "caches",
    "locks",
    "processes",
    "workers",
]
