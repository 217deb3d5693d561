"""Verbs of the command line, one module each; those about the area model are in area/.

A module has NAME; HELP (one line for ``codesign --help``); DESCRIPTION (input, output and exit
status) and EXAMPLES, for the verb's own ``--help``; ``arguments(parser)``, which adds its options;
and ``run(args, console)``, which returns the exit status.
"""

__all__ = [
    "bench",
    "build",
    "compare",
    "doctor",
    "estimate",
    "evaluate",
    "explore",
    "export",
    "import_",
    "predict",
    "report",
    "synth",
    "train",
    "verify",
    "worker",
]
