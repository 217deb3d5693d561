"""The command line: ``codesign VERB ...``, without logic of its own.

main (dispatch, exit statuses), verbs/ (one module each), options, search_options and training (what
verbs share), console (terminal and JSON output), installation (which tools were found).
"""

from codesign.cli.main import main

__all__ = ["main"]
