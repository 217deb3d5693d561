"""Exceptions that a user's input can cause; the command line ends with status 2 on each."""

from __future__ import annotations

from models.files.reading import FileError, escaped


class ModelError(ValueError):
    """Error in a network, its quantisation, its training settings or a file that stores them.

    The message says what is wrong, where, and what is allowed.
    """


class DivergedError(ModelError):
    """A training whose loss was not finite in the end of an epoch."""


class YamlError(FileError):
    """Error in a YAML or JSON file.

    The message begins with ``file:line`` in YAML and for bad syntax, ``file: path`` of the value in
    JSON, or ``file`` if no place is wrong. For an unknown key it says what to write instead where
    that is known, else as ``nodes.nearest`` does.
    """


class DatasetError(ValueError):
    """Error in a data set; the message names the file and what was expected of it.

    Names of its files and classes may hold anything: the message has it as escapes, in one line.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escaped(message))
