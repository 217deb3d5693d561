"""Neural networks without hardware: graph, data, quantisation, training, integer network.

Subpackages: graph (layers and their connections), data (data sets), quantisation (bits, sparsity,
fake quantisation), training (quantisation-aware, in torch), supernet (accuracy estimates without
training each network), integer (the network that hardware computes, and its numpy reference).
Shared by all: files (the door for files), arithmetic (requantisation, the one module that rtl_gen
may import), threads (of BLAS) and errors. Nothing here imports rtl_gen, sim or codesign.
"""

__all__ = [
    "arithmetic",
    "data",
    "errors",
    "files",
    "graph",
    "integer",
    "quantisation",
    "supernet",
    "threads",
    "training",
]
