"""The command line: ``codesign VERB ...``; one module a verb, no logic of its own."""

from codesign.cli.main import main

__all__ = ["main"]
