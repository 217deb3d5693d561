"""Search spaces: declared in YAML, encoded as integer genes, decoded to designs.

declaration (YAML files), choices (what these may list), accumulators (widths that training keeps
to), genome and parameters (genes of any space, and rules for them), stages (genes of a
declaration), encoding (the search space of these), given (the search space of a network that
exists), zoo (that of several of them), topology (genes to a network graph), tables, chains and
chain_layers (genes to layer tables, for batches), candidates (genes to NPUs and designs), graphs
(genes to graphs of parameters, for strategies), presets/ (shipped spaces).
"""

__all__ = [
    "accumulators",
    "candidates",
    "chain_layers",
    "choices",
    "declaration",
    "encoding",
    "genome",
    "given",
    "graphs",
    "parameters",
    "presets",
    "stages",
    "tables",
    "topology",
    "zoo",
]
