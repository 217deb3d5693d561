"""Verbs that measure area and fit the area model to it: ``characterize`` and ``calibrate``."""

__all__ = ["calibrate", "characterize"]
