"""A corpus of small hostile files, each with the command that must refuse it.

``python -m tests.hostile FOLDER`` writes it, and prints the commands. A case is named by the fault,
X1 to X21 of issue 16, that it is a sibling of.
"""

from tests.hostile import builds, designs, networks, pickled, pictures, searches, studies
from tests.hostile.cases import CASES

__all__ = ["CASES", "builds", "designs", "networks", "pickled", "pictures", "searches", "studies"]
