"""The command line ``codesign VERB ...``, a thin layer over the other packages.

main (dispatch and exit statuses), verbs/ (one module per verb), options, data_options and training
(shared by verbs), outputs (that are no classes), search_options and search_arguments (options of
``explore``: values, and help texts), console (terminal and JSON output), installation (search for
tools).

``python -m codesign.cli`` puts the current folder first among those that modules come from. It may
be somebody else's: unless this package itself lies in it, it is dropped before all other imports.
"""

import sys

_FOLDER = __file__.rpartition("/codesign/cli/")[0]
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and sys.path[0] != _FOLDER:
    del sys.path[0]

from codesign.cli.main import main  # noqa: E402

__all__ = ["main"]
