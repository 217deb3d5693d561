"""The command line ``codesign VERB ...``, a thin layer over the other packages.

main (dispatch and exit statuses), verbs/ (one module per verb), options, search_options and
training (shared by verbs), console (terminal and JSON output), installation (search for tools).
"""

from codesign.cli.main import main

__all__ = ["main"]
