"""Words of a search on its designs: names, the front it shows, reasons, summary.json."""

__all__ = ["names", "reasons", "shown", "summary"]
