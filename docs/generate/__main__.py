"""``python -m docs.generate``: rewrites the marked blocks of the pages, and says which changed."""

from __future__ import annotations

from docs.generate import pages
from docs.generate.sources import ROOT

if __name__ == "__main__":
    for page in pages.write():
        print(page.relative_to(ROOT))
