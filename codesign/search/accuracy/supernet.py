"""Supernet of a search space: one set of shared weights for every network in it."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from codesign.results import UserError
from codesign.search.space.choices import PLAIN, PROJECTION
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import Ints
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.data.datasets import Dataset
from models.errors import ModelError
from models.files.reading import FileError
from models.files.writing import atomic_file
from models.supernet.network import Subnet, Supernet
from models.supernet.training import CALIBRATION_IMAGES, Judgement, SupernetSettings, judge, train
from models.training import checkpoint, tensor_file

JUDGED_IMAGES = 2000
"""Largest number of validation images on which networks with shared weights are evaluated."""
_SHAPES = ("stages", "pooling", "head", "hidden")
"""Genes all of whose combinations the supernet is made of, as they decide which layers share
weights; of all others it takes the largest choice."""


def affordable(space: SearchSpace, candidates: Ints, max_macs: int) -> Ints:
    """Return those of canonical candidates (n, genes) that take up to ``max_macs`` MACs per image.

    N:M patterns do not lower the number of MACs.
    """
    chosen: Ints = candidates[layer_table(space, candidates).macs.sum(axis=1) <= max_macs]
    return chosen


def random_networks(space: SearchSpace, count: int, random: np.random.Generator) -> Ints:
    """Return random canonical candidates, shape (count, genes), all on the first NPU.

    Every gene of the network is uniform, then inactive ones are set to 0.
    """
    found = random.integers(0, space.sizes, (count, len(space.sizes)), dtype=np.int64)
    found[:, space.npu_genes] = 0
    return space.canonical(found)


def untrained(space: SearchSpace, seed: int) -> Supernet:
    """Return an untrained supernet that contains every network of the space.

    seed: of its initial weights; torch's own random state is left as it was. Raises UserError for a
    space with choices that do not share weights: depthwise blocks, projections, or stages that keep
    the size of their map.
    """
    net = space.declaration.network
    for stage in range(1, space.max_stages + 1):
        if (
            space.keeps_size
            or set(net.of_stage("blocks", stage)) != {PLAIN}
            or PROJECTION in net.of_stage("residual", stage)
        ):
            raise UserError(
                "a supernet has plain blocks in stages that halve their map; the space must list "
                "no other blocks, no residual projection and no halve false"
            )
    genes = [space.index[name] for name in _SHAPES]
    largest = np.array([_largest(space, gene) for gene in range(len(space.sizes))])
    rows = []
    for choices in itertools.product(*(range(space.sizes[gene]) for gene in genes)):
        row = largest.copy()
        row[genes] = choices
        rows.append(row)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Supernet(network(space, row)[0] for row in space.canonical(np.stack(rows)))


def _largest(space: SearchSpace, gene: int) -> int:
    """Return the index of a gene's largest choice; of words, of the last in alphabetical order."""
    choices = space.parameters[gene].choices
    return max(range(len(choices)), key=lambda index: choices[index])


def subnet(space: SearchSpace, candidate: Ints) -> Subnet:
    """Return the network of a candidate, shape (genes,), as a sub-network of the supernet."""
    return Subnet(*network(space, candidate))


def trained(
    space: SearchSpace, dataset: Dataset, settings: SupernetSettings, max_macs: int, path: Path,
    progress: Callable[[str], None],
) -> Supernet:  # fmt: skip
    """Return the supernet stored in ``path``, or train one and store it there.

    Each training step samples a random network within ``max_macs``, of which the space must hold
    some (else training never ends). A stored supernet is taken whatever data set and settings it
    was trained with. Raises UserError when the file is not a supernet of this space, OSError when
    it cannot be written.
    """
    supernet = untrained(space, settings.seed)
    if path.exists():
        try:
            state = tensor_file.read(path)
            checkpoint.check_state(state, path)
            supernet.load_state_dict(state)
        except (FileError, ModelError, RuntimeError) as error:
            raise UserError(f"{path} is not a supernet of this space: {error}") from None
        return supernet
    random = np.random.default_rng([settings.seed, 4])

    def draw(step: int) -> Subnet:
        while True:
            chosen = affordable(space, random_networks(space, 16, random), max_macs)
            if len(chosen):
                return subnet(space, chosen[0])

    def report(done: int, loss: float) -> None:
        progress(f"supernet: step {done} of {settings.steps}, loss {loss:.2f}")

    train(supernet, draw, dataset, settings, report)
    content = io.BytesIO()
    torch.save(supernet.state_dict(), content)
    with atomic_file(path) as file:
        file.write(content.getvalue())
    return supernet


def judged(supernet: Supernet, subnet: Subnet, dataset: Dataset, seed: int) -> Judgement:
    """Evaluate a network with shared weights on up to JUDGED_IMAGES validation images.

    seed: draws the training images that calibrate its batch norm and activation scales, and that
    its classifier is refitted to.
    """
    random = np.random.default_rng([seed, 5])
    chosen = random.permutation(len(dataset.train))[:CALIBRATION_IMAGES]
    validation = dataset.validation.spread(JUDGED_IMAGES)
    return judge(supernet, subnet, dataset.train.take(chosen), validation)
