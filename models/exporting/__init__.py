"""Integer networks as ONNX files of others' operators.

export (the entry), sketch (a model in the making), dialects (what both kinds of file share),
plain (ONNX's integer operators, bit for bit what the reference computes) and qonnx (QONNX: scales
and codes). It knows no hardware.
"""

__all__ = ["export"]
