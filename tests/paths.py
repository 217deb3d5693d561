"""Where the checkout's folders are, wherever a test stands."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "examples" / "digits_tiny.yaml"
"""The design that fits into a few thousand LUTs."""
