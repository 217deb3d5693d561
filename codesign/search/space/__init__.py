"""Search spaces: declared in YAML, encoded as genes, decoded to designs.

declaration (the YAML), encoding (genes), topology (genes to a network), tables and chains (genes
to layer columns, for batches), candidates (genes to NPUs and designs); presets/ holds shipped
spaces.
"""

__all__ = [
    "candidates",
    "declaration",
    "encoding",
    "presets",
    "tables",
    "topology",
]
