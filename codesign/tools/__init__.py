"""Operating-system helpers: external tools, worker processes, and atomic writing of folders."""

__all__ = [
    "folders",
    "processes",
    "workers",
]
