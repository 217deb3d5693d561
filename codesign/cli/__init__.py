"""The command line ``codesign VERB ...``, a thin layer over the other packages.

main (dispatch and exit statuses), verbs/ (one module per verb), options, data_options and training
(shared by verbs), search_options and search_arguments (options of ``explore``: values, and help
texts), console (terminal and JSON output), installation (search for tools).
"""

from codesign.cli.main import main

__all__ = ["main"]
