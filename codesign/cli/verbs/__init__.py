"""The verbs of the command line, one module each: NAME, HELP, EXAMPLES, arguments(), run()."""

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
