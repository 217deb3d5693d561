"""The HTML report of a build or a search, one self-contained page: ``write(data, path)``.

data (the fields of a report), collect (reads them from a build or search folder) and stored (forms
of the files that it reads), comparison and layers (tables, for the terminal as well), page with
charts, curves, npu_picture and svg (the HTML).
runs and versus: the same for several builds and searches side by side.
"""

from codesign.report.data import Candidate, LayerRow, ReportData
from codesign.report.page import render, write

__all__ = [
    "Candidate",
    "LayerRow",
    "ReportData",
    "collect",
    "comparison",
    "data",
    "layers",
    "render",
    "runs",
    "versus",
    "write",
]
