"""Sizes of a MacLayer that every pass needs, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from models.integer.network import IntegerNetwork, MacLayer


@dataclass(frozen=True)
class LayerShape:
    """A MacLayer seen as loops. Pairs are (rows, columns)."""

    layer: MacLayer
    index: int
    """Position among the network's MacLayers."""
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    """Channels, rows, columns; rows and columns after max pooling."""
    kernel: tuple[int, int]
    pool: tuple[int, int]
    pool_stride: tuple[int, int]

    @property
    def step(self) -> tuple[int, int]:
        """Input rows and columns per output row and column."""
        stride = self.layer.stride
        return self.pool_stride[0] * stride[0], self.pool_stride[1] * stride[1]

    @property
    def kernel_taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def macs(self) -> int:
        """Multiplications of the network's definition: no padding lanes, each position that a
        pooling window reads once."""
        per_output = self.in_shape[0] // self.layer.groups * self.kernel_taps
        positions = 1
        for count, window, stride in zip(
            self.out_shape[1:], self.pool, self.pool_stride, strict=True
        ):
            positions *= (count - 1) * min(window, stride) + window
        return len(self.layer.sources) * per_output * self.out_shape[0] * positions


def layer_shapes(network: IntegerNetwork) -> tuple[LayerShape, ...]:
    """One LayerShape per MacLayer, in execution order."""
    return tuple(_shape(network, layer, i) for i, layer in enumerate(network.mac_layers))


def _shape(network: IntegerNetwork, layer: MacLayer, index: int) -> LayerShape:
    in_shape = network.tensors[layer.sources[0].tensor].shape
    kernel = layer.sources[0].weights.shape[2:]
    return LayerShape(
        layer=layer,
        index=index,
        in_shape=in_shape,
        out_shape=network.tensors[layer.output].shape,
        kernel=(kernel[0], kernel[1]),
        pool=layer.pool.kernel if layer.pool else (1, 1),
        pool_stride=layer.pool.stride if layer.pool else (1, 1),
    )
