"""Depth-first (fused-layer) tiling of networks whose feature maps exceed activation memory.

The network is cut into segments of successive layers. Between segments feature maps lie in external
memory; within a segment the layers run one band of rows after another, so that what they pass on
never leaves the chip. Neighbouring bands both load or compute the rows that both need (halo).

- ``bands``: which rows each band of a segment needs, and a band as a network of its own;
- ``segments``: buffers, transfers and cycles of one segment;
- ``segment_search``: where to cut the network, and into how many bands;
- ``tiled``: the resulting schedule of the whole network.

The method is that of fused-layer accelerators (Alwani et al., MICRO 2016).
"""

__all__ = [
    "segments",
    "tiled",
]
