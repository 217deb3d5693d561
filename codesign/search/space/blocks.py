"""Kinds of blocks that the stages of a searched network are made of, and residual connections."""

PLAIN = "plain"
GHOST = "ghost"
STACK = "dense"
EXPANSIONS = {"separable": 1, **{f"inverted{factor}": factor for factor in (2, 3, 4, 6)}}
"""Block with a depthwise convolution -> the channels of that, as a multiple of its input's."""
BLOCKS = (PLAIN, *EXPANSIONS, GHOST, STACK)
"""What a convolution of a stage is made of. ``plain``: one convolution. ``separable``: a depthwise
one and a pointwise one (Howard et al., MobileNets, arXiv 1704.04861). ``inverted2`` and so on: a
pointwise one to 2 (3, 4, 6) times the channels, a depthwise one and a pointwise one without ReLU
(Sandler et al., MobileNetV2, arXiv 1801.04381). ``ghost``: half of the channels by a convolution,
the others by a depthwise one of these, side by side (Han et al., GhostNet, arXiv 1911.11907).
``dense``: each convolution of the stage reads the outputs of all before it in the stage, side by
side, and all together are the stage's channels (Huang et al., DenseNet, arXiv 1608.06993); there is
no residual. The network's first convolution, of the image, is plain in blocks but ``dense``."""
CHEAP_KERNEL = 3
"""Size of the depthwise convolution of a ghost block."""
PROJECTION = "projection"
RESIDUALS = (False, True, PROJECTION)
"""What is added to the last output of a stage of two or more convolutions: nothing; the output of
its first convolution; its input by way of a pointwise convolution (He et al., arXiv 1512.03385)."""
