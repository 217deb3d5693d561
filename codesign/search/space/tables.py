"""Decoding of candidates to the layer tables of the cost models, without building graphs.

The result equals ``LayerTable.of`` of the candidates' networks (topology.network), lowered by
``models.integer.lower.shape_only``, but for inactive slots at the end.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from codesign.cost.cycles.compiled import int64_fields, scratch
from codesign.cost.cycles.layers import LayerTable
from codesign.search.parts import in_parts
from codesign.search.space.chain_layers import ChainTask
from codesign.search.space.chains import CONV, NETWORK, STAGE, write
from codesign.search.space.choices import BLOCKS, EXPANSIONS, PLAIN, POOLINGS, RESIDUALS, STACK
from codesign.search.space.genome import Ints
from codesign.search.space.stages import StageGenes
from models.integer.assemble import LOGIT_BITS
from models.quantisation.plan import ADD_WEIGHT_BITS, ONES_WEIGHT_BITS
from rtl_gen.blocks.history import MOST_ROWS, OLDER_COLUMNS
from rtl_gen.parameters import SPARSITIES

_COLUMNS = tuple(field.name for field in dataclasses.fields(LayerTable))

_GENES = {
    "stages": "stages", "hidden": "hidden", "input_bits": "input_bits",
    "hidden_weight_bits": "weight_bits.hidden",
    "hidden_activation_bits": "activation_bits.hidden",
    "classifier_weight_bits": "weight_bits.classifier",
}  # fmt: skip
"""Field of NETWORK -> gene whose numeric value it holds."""


def layer_table(space: StageGenes, candidates: Ints, threads: int | None = None) -> LayerTable:
    """Return the MAC layers of candidates of shape (n, genes).

    There are slots for the longest network of the space. threads: at most so many, by default one
    per processor (``in_parts``).
    """
    slots = space.max_stages * space.max_stage_layers + 3
    table = np.zeros((len(_COLUMNS), len(candidates), slots), np.int64)

    def part(rows: slice) -> None:
        _fill(space, candidates[rows], table[:, rows])

    in_parts(part, len(candidates), threads)
    return LayerTable(*table)


def _fill(space: StageGenes, candidates: Ints, table: Ints) -> None:
    """Write the layers of candidates to ``table``.

    Shapes: candidates (n, genes), table (columns, n, slots), all 0 before; columns are the fields
    of LayerTable in their order.
    """
    task = ChainTask(
        *space.shape, space.classes, ADD_WEIGHT_BITS, ONES_WEIGHT_BITS, LOGIT_BITS, *space.halving,
        MOST_ROWS, OLDER_COLUMNS,
    )  # fmt: skip
    networks = np.empty(len(candidates), NETWORK)
    for name, gene in _GENES.items():
        networks[name] = space.integers(candidates, gene)
    networks["pooling"] = space.words(candidates, "pooling", POOLINGS)
    networks["average"] = space.values(candidates, "head") == "average"
    patterns = np.array([two if two[1] > 1 else (0, 0) for two in SPARSITIES.values()])
    kept, group = np.moveaxis(patterns[space.stage_patterns(candidates)], 2, 0)
    networks["kept"], networks["group"] = kept[:, -1], group[:, -1]
    stages = np.empty((len(candidates), space.max_stages), STAGE)
    convs = np.empty((*stages.shape, space.max_convs), CONV)
    stages["kept"], stages["group"] = kept[:, :-1], group[:, :-1]
    for stage in range(space.max_stages):
        number = stage + 1
        for name in ("convs", "channels", "kernel"):
            stages[name][:, stage] = space.integers(candidates, f"{name}{number}")
        stages["residual"][:, stage] = space.words(candidates, f"residual{number}", RESIDUALS)
        block = space.words(candidates, f"block{number}", BLOCKS, PLAIN)
        stages["block"][:, stage] = block
        stages["expansion"][:, stage] = np.array([EXPANSIONS.get(b, 0) for b in BLOCKS])[block]
        stages["halve"][:, stage] = space.words(candidates, f"halve{number}", (False, True), True)
        for conv in range(space.max_convs):
            for name in CONV.names or ():
                gene = f"{name}{stage + 1}.{conv + 1}"
                convs[name][:, stage, conv] = space.integers(candidates, gene)
        stacks = block == BLOCKS.index(STACK)  # the outputs of a dense block have equal bits
        bits = convs["activation_bits"][:, stage]
        bits[stacks] = bits[stacks, :1]
    write(networks, stages, convs, task, scratch(int64_fields(*_COLUMNS), 1), table)
