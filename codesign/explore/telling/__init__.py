"""What a search says of its designs: names, the front it shows, reasons, summary.json."""

__all__ = ["names", "reasons", "shown", "summary"]
