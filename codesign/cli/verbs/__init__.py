"""Verbs of the command line, one module each with NAME, HELP, EXAMPLES, arguments() and run()."""

__all__ = [
    "build",
    "calibrate",
    "characterize",
    "doctor",
    "estimate",
    "explore",
    "report",
    "synth",
    "train",
    "verify",
]
