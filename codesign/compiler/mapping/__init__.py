"""Mapping of layers onto the array and the on-chip buffers: loop tiling and spatial unrolling.

A convolution's loop nest is unrolled in space three ways: input channels over the lanes, output
channels over the columns, output rows over the pixel lanes. All other loops run in time. Files:

- ``shapes``: loop bounds of each layer;
- ``slots``: word and lane of each channel in activation memory;
- ``tiles``: output-channel tiles and the input words that each reads; ``phases``: N:M sparsity;
- ``strips``: rows of the feature maps, divided over the pixel lanes and their banks;
- ``reuse``: reuse of input columns in depthwise layers;
- ``unfolding``: im2col of the input image by the host;
- ``storage``, ``allocation``: buffers of activation memory, their lifetimes and addresses;
- ``parts``: weight tiles and double buffering of weight memory;
- ``schedule``: all of this for a whole network.
"""

__all__ = [
    "allocation",
    "parts",
    "phases",
    "reuse",
    "schedule",
    "shapes",
    "slots",
    "storage",
    "strips",
    "tiles",
    "unfolding",
]
