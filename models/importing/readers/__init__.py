"""Readers of files of others: each makes the neutral graph.

foreign (that graph: nodes, constants, grids of codes), grids (quantisation as ONNX says it), table
(what becomes of each node, and refusals), onnx_file, onnx_reading, onnx_operators, onnx_codes,
onnx_integers and qonnx (ONNX: float, QDQ, QOperator, QONNX), tflite (TensorFlow Lite),
torch_program, torch_calls, torch_operators, torch_moves and torch_recurrent (torch.export).
"""

__all__ = [
    "foreign",
    "grids",
    "onnx_file",
    "onnx_operators",
    "onnx_reading",
    "qonnx",
    "table",
    "torch_program",
]
