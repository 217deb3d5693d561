"""Block pruning of a network in training: the weights of pruned blocks are set to 0 in place."""

from __future__ import annotations

import torch

from models.errors import ModelError
from models.files.nodes import nearest
from models.files.reading import quoted
from models.quantisation.blocks import BlockShape, Pruning, zero_blocks
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork


class Pruner:
    """Block pruning of the layers that ``pruning`` names, in place; None prunes nothing.

    Blocks are chosen anew each time: a block returns once its gradient has made it outgrow another.
    Raises ModelError for an unknown layer, a grouped one, or dense 1-bit weights, which have no 0.
    """

    def __init__(self, network: QuantNetwork, pruning: Pruning | None) -> None:
        self.pruning = pruning
        layers = {n.name: n.module for n in network.nodes if isinstance(n.module, WeightLayer)}
        self._layers: dict[str, tuple[WeightLayer, BlockShape]] = {}
        for name, block in pruning.blocks if pruning else ():
            if name not in layers:
                known = nearest(name, layers)
                raise ModelError(f"zero blocks: no layer {quoted(name)} has weights; {known}")
            _check(name, layers[name])
            self._layers[name] = layers[name], block

    @torch.no_grad()
    def apply(self, share: float) -> None:
        """Set ``share`` (0..1) of each layer's blocks to 0 in place, chosen by ``Pruning.kept``."""
        for layer, block in self._layers.values():
            assert self.pruning is not None
            stay = self.pruning.kept(layer.kept_weight().numpy(), block, share)
            layer.weight.mul_(torch.from_numpy(stay))

    @torch.no_grad()
    def verify(self) -> None:
        """Raise ModelError if a layer's integers have fewer zero blocks than ``Pruning.least``."""
        for name, (layer, block) in self._layers.items():
            codes = layer.quantiser.codes(layer.kept_weight()).numpy()
            assert self.pruning is not None
            blocks = block.sums(codes)
            least = self.pruning.least(len(blocks), blocks.size)
            found = zero_blocks(codes, block)
            if found < least:
                raise ModelError(f"layer {name}: {found} blocks are zero, {least} were wanted")


def _check(name: str, layer: WeightLayer) -> None:
    if layer.groups > 1:
        raise ModelError(f"layer {name}: zero blocks are for layers of groups: 1")
    if layer.quantiser.bits == 1 and layer.sparsity is None:
        raise ModelError(f"layer {name}: zero blocks need a 0, which 1-bit weights do not have")
