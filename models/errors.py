"""Errors a user's input can cause. The command line turns each into exit status 2."""

from __future__ import annotations


class ModelError(ValueError):
    """A network, its quantisation or its training settings: what, where, what is allowed."""


class YamlError(ValueError):
    """A YAML file: ``file:line: what is wrong`` and, for a key, the nearest known one."""


class DatasetError(ValueError):
    """A data set: the file and what was expected of it."""
