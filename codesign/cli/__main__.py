"""``python -m codesign.cli``: the same as ``codesign``."""

import sys

from codesign.cli.main import main

sys.exit(main())
