"""Subject of a report: the design of a build folder, with its schedule and its drawing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codesign import prediction
from codesign.build import build_folder, imported, imported_build
from codesign.build.imported import ImportedDesign
from codesign.compiler import Plan
from codesign.design import Design
from models.graph.drawing import Box, draw, draw_boxes
from models.integer import files
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer
from models.quantisation.plan import bit_notes


@dataclass(frozen=True, eq=False)
class Subject:
    """A design, trained by us or imported, as a report shows it. Made by ``read``."""

    design: Design | ImportedDesign
    plan: Plan
    network_svg: str
    origin: tuple[str, str]
    """Name and value of the fact that says where the network is from."""


def read(folder: Path) -> Subject:
    """Read the design of a build folder and schedule its network.

    Raises YamlError and ModelError for files that are missing or damaged, InfeasibleError if the
    NPU cannot run the network.
    """
    design = imported.load(folder / "design.yaml")
    if isinstance(design, Design):
        notes = bit_notes(design.network, design.quantisation)
        drawing, origin = draw(design.network, notes), ("Data set", design.dataset.name)
        return Subject(design, prediction.plan_design(design), drawing, origin)
    network = files.load(folder / build_folder.NETWORK)
    plan = imported_build.lower(design, network).compiled.plan
    origin = ("Imported from", f"{design.source.file} ({design.source.format})")
    return Subject(design, plan, draw_boxes(design.name, boxes(network)), origin)


def boxes(network: IntegerNetwork) -> list[Box]:
    """Return the boxes of an integer network's drawing: its input and its layers, by tensors."""
    first = network.tensors[network.input]
    return [
        Box(first.name, (), "input", _note(network, first.name)),
        *(
            Box(layer.output, _inputs(layer), _text(layer), _note(network, layer.output))
            for layer in network.layers
        ),
    ]


def _inputs(layer: MacLayer | ConcatLayer) -> tuple[str, ...]:
    if isinstance(layer, ConcatLayer):
        return layer.inputs
    return tuple(source.tensor for source in layer.sources)


def _text(layer: MacLayer | ConcatLayer) -> str:
    if isinstance(layer, ConcatLayer):
        return "concat"
    words, kernel = [layer.op], layer.sources[0].weights.shape[2:]
    if layer.op in ("conv2d", "avg_pool"):
        words.append("×".join(map(str, kernel)))
    if layer.stride != (1, 1):
        words.append("/" + "×".join(map(str, dict.fromkeys(layer.stride))))
    if layer.op == "conv2d":
        words += [f"groups {layer.groups}"] if layer.groups > 1 else []
        words.append(f"w{layer.weight_bits}")
    if layer.pool:
        words.append(f"+ max pool {'×'.join(map(str, layer.pool.kernel))}")
    return " ".join(words)


def _note(network: IntegerNetwork, tensor: str) -> str:
    spec = network.tensors[tensor]
    return f"{'×'.join(map(str, spec.shape))}  a{spec.bits}"
