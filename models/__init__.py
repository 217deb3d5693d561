"""The network: graph, data, quantisation, training in torch, and the integer network that results.

Knows nothing of hardware. Beside the rooms stands what all of them need: arithmetic
(requantisation, the one module that rtl_gen shares), errors, files (atomic writes) and yaml_io
(strict YAML).
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
    "training",
    "yaml_io",
]
