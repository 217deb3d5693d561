"""Code generation: instructions and memory images of a mapped network, with their exact cycles.

- ``instructions``: the program of one image; ``stream``: the program of images back to back;
- ``weights``, ``channels``: images of weight memory and of the channel table;
- ``lookups``: tables of activation functions, which lie in the channel table; ``thresholds``: what
  accumulators are compared with there;
- ``layout``: layouts of tensors on the AXI4-Streams, for host and verification;
- ``memory``, ``port``: the image of external memory, and stall cycles of the memory port.
"""

__all__ = [
    "channels",
    "instructions",
    "layout",
    "lookups",
    "memory",
    "stream",
    "thresholds",
    "weights",
]
