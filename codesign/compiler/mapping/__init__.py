"""How layers are laid onto array and buffers, without looking at weights.

shapes (layers as loops), slots (channels in words), tiles (output channels for the array), phases
(N:M sparsity), strips (rows for the pixel lanes), reuse (depthwise columns), unfolding (im2col of
the input), storage and allocation (activation memory), parts (weight memory), schedule (all of
it, for a whole network).
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
