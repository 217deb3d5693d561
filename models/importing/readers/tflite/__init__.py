"""Reader of TensorFlow Lite: file (buffers, tensors), operators, calls and maps (what they do)."""

__all__ = ["file", "operators"]
