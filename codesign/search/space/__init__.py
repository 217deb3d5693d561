"""Search spaces: declared in YAML, encoded as integer genes, decoded to designs.

declaration (YAML files), rules (combinations that it forbids or requires), encoding (genes),
topology (genes to a network graph), tables and chains (genes to layer tables, for batches),
candidates (genes to NPUs and designs), presets/ (shipped spaces).
"""

__all__ = [
    "candidates",
    "declaration",
    "encoding",
    "presets",
    "rules",
    "tables",
    "topology",
]
