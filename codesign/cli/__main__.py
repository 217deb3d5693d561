"""Entry point of ``python -m codesign.cli``, the same command line as ``codesign``."""

import sys

from codesign.cli.main import main

sys.exit(main())
