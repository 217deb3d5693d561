"""Paths of the checkout, the same for every test."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "examples" / "digits_tiny.yaml"
"""A design file of an NPU of a few thousand LUTs."""
