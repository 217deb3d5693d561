"""Search spaces: declared in YAML, encoded as integer genes, decoded to designs.

declaration (YAML files), encoding (genes), topology (genes to a network graph), tables and chains
(genes to layer tables, for batches), candidates (genes to NPUs and designs), presets/ (shipped
spaces).
"""

__all__ = [
    "candidates",
    "declaration",
    "encoding",
    "presets",
    "tables",
    "topology",
]
