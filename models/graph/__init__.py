"""The network as a graph of layer specs: what is computed, without bits and without weights.

network (NetworkGraph), layers (one frozen spec per operator), passes (graph to graph), verifier
(what every graph must satisfy), yaml (as a file), drawing (as SVG).
"""

__all__ = [
    "drawing",
    "layers",
    "network",
    "passes",
    "verifier",
    "yaml",
]
