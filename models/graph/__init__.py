"""Networks as graphs of layer specifications, without bits and without weights.

network (NetworkGraph), layers (one frozen specification per operator; spec: their base),
activations (functions that are looked up), windows (of convolutions and poolings), passes (graph to
graph), verifier (the rules that every graph must satisfy), yaml (file format), drawing (as SVG),
channels (which ones can be cut, and go together).
"""

__all__ = [
    "activations",
    "channels",
    "drawing",
    "layers",
    "network",
    "passes",
    "spec",
    "verifier",
    "windows",
    "yaml",
]
