"""QONNX graphs built node by node, and what a file of them computes, in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from models.importing import imports
from models.integer import reference
from tests.models.importing.onnx_models import QONNX, model, node, write


class MultiThreshold(OpRun):
    """``out_scale * (number of thresholds <= x) + out_bias``, by channel."""

    op_domain = QONNX

    def _run(
        self, x: Any, table: Any, out_scale: Any = None, out_bias: Any = None,
        data_layout: Any = None, out_dtype: Any = None,
    ) -> Any:  # fmt: skip
        layout = data_layout.decode() if isinstance(data_layout, bytes) else data_layout
        last = layout in ("NHWC", "NWC")
        x = np.moveaxis(x, -1, 1) if last else x
        rows = np.broadcast_to(table.astype(np.float64), (x.shape[1], table.shape[1]))
        rows = rows.T.reshape(table.shape[1], 1, x.shape[1], *[1] * (x.ndim - 2))
        count = (x.astype(np.float64) >= rows).sum(axis=0)
        count = np.moveaxis(count, 1, -1) if last else count
        scale, bias = 1.0 if out_scale is None else out_scale, out_bias or 0.0
        return ((scale * count + bias).astype(np.float32),)


class Quant(OpRun):
    """Rounding to codes and back to real values."""

    op_domain = QONNX

    def _run(
        self, x: Any, scale: Any, zero: Any, bits: Any, signed: Any = 1, narrow: Any = 0,
        rounding_mode: Any = None,
    ) -> Any:  # fmt: skip
        width = int(np.ravel(bits)[0])
        low = (-(1 << (width - 1)) + (narrow or 0)) if signed else 0
        high = (1 << (width - 1)) - 1 if signed else (1 << width) - 1 - (narrow or 0)
        codes = np.clip(np.rint(x.astype(np.float64) / scale + zero), low, high)
        return (((codes - zero) * scale).astype(np.float32),)


class Graph:
    """Nodes and constants of a file with the input ``x``, whose codes are whole numbers."""

    def __init__(self, shape: tuple[int, ...] = (1, 1, 1, 1), bits: int = 4) -> None:
        self.shape, self.nodes, self.constants = shape, [], {}  # type: ignore[var-annotated]
        self.x = self.quant("x", 1.0, bits)

    def constant(self, values: Any) -> str:
        name = f"k{len(self.constants)}"
        whole = np.asarray(values).dtype.kind in "iu"
        self.constants[name] = np.asarray(values, np.int64 if whole else np.float32)
        return name

    def op(self, kind: str, inputs: list[str], domain: str = "", **given: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(node(kind, inputs, [name], name, domain=domain, **given))
        return name

    def quant(self, source: str, scale: float, bits: int, narrow: int = 0) -> str:
        ends = [self.constant(np.float32(one)) for one in (scale, 0, bits)]
        return self.op("Quant", [source, *ends], QONNX, signed=1, narrow=narrow)

    def conv(self, source: str, weights: Any, *bias: Any, **given: Any) -> str:
        coded = self.quant(self.constant(np.asarray(weights, float)), 1.0, 4, narrow=1)
        return self.op("Conv", [source, coded, *map(self.constant, bias)], **given)

    def compare(self, source: str, table: Any, **given: Any) -> str:
        inputs = [source, self.constant(np.asarray(table, float))]
        return self.op("MultiThreshold", inputs, QONNX, **given)

    def read(self, output: str, path: Path) -> imports.Imported:
        return imports.read(write(path / "g.onnx", self._model(output)))

    def _model(self, output: str) -> onnx.ModelProto:
        return model(self.nodes, self.constants, self.shape, output)

    def differences(self, output: str, path: Path, x: Any) -> Any:
        """Return what the imported network computes less what the file does, (n, outputs)."""
        found = self.read(output, path)
        assert [str(row) for row in found.table.refused] == []
        network, end = found.integer, found.input
        assert network
        assert end
        values = reference.run(network, end.codes(x).astype(np.uint8))
        ours = network.real(values[network.output.name])
        run = ReferenceEvaluator(self._model(output), new_ops=[MultiThreshold, Quant])
        theirs = [run.run(None, {"x": one[None].astype(np.float32)})[0].ravel() for one in x]
        return ours - np.array(theirs)
