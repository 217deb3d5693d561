"""One self-contained HTML page about a build or a search: ``write(data, path)``.

data (what a page shows), collect (gathers it from a folder), comparison and layers (tables, on the
terminal as well), page with charts, npu_picture and svg (the HTML).
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
    "write",
]
