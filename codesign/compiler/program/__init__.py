"""What is loaded into the NPU: instructions and memory images, with their cycles.

instructions and stream (programs), weights and channels (images), layout (of tensors on the
streams), memory and port (what waiting for memory costs).
"""

__all__ = [
    "channels",
    "instructions",
    "layout",
    "memory",
    "stream",
    "weights",
]
