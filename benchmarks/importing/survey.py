"""How many kinds of small networks are imported, from torch and from ONNX, and why others not.

``python -m benchmarks.importing.survey`` prints a table; ``--onnx`` takes each network by way of
torch's exporter to ONNX instead of as a program of torch.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.importing import images, others
from benchmarks.importing.blocks import Kind
from models.errors import ModelError
from models.importing import imports, programs

KINDS: dict[str, Kind] = {**images.KINDS, **others.KINDS}


@dataclass(frozen=True)
class Result:
    """What became of a kind: the layers that it has, or why it is refused."""

    kind: str
    layers: int
    reasons: tuple[str, ...] = ()


def survey(kinds: list[str], *, onnx: bool = False) -> list[Result]:
    """Import a network of each kind, with random weights."""
    return [_one(kind, onnx) for kind in kinds]


def _one(kind: str, onnx: bool) -> Result:
    make, shape = KINDS[kind]
    torch.manual_seed(0)
    module = make().eval()
    try:
        found = _by_onnx(module, shape) if onnx else programs.import_module(module, shape)
    except ModelError as error:
        return Result(kind, 0, (str(error),))
    rows = found.table.refused
    reasons = tuple(dict.fromkeys(f"{row.operator}: {row.reason}" for row in rows))
    return Result(kind, len(imports.layers(found)), reasons)


def _by_onnx(module: torch.nn.Module, shape: tuple[int, ...]) -> imports.Imported:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "net.onnx"
        torch.onnx.export(module, (torch.zeros(*shape),), path, dynamo=False)
        return imports.read(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", action="store_true", help="by way of torch's exporter to ONNX")
    results = survey(list(KINDS), onnx=parser.parse_args().onnx)
    print("| kind | imported | why not |\n|---|---|---|")
    for one in results:
        layers = "" if one.reasons else f"{one.layers} layers"
        print(f"| {one.kind} | {layers} | {'; '.join(one.reasons)} |")
    good = sum(not one.reasons for one in results)
    print(f"\n{good} of {len(results)} kinds are imported")


if __name__ == "__main__":
    main()
