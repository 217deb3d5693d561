"""One self-contained HTML page about a build or a search: ``write(data, path)``."""

from codesign.report.data import Candidate, LayerRow, ReportData
from codesign.report.page import render, write

__all__ = ["Candidate", "LayerRow", "ReportData", "render", "write"]
