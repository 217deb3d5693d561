"""Helpers around the operating system: external processes, worker processes, folders."""

__all__ = [
    "folders",
    "processes",
    "workers",
]
