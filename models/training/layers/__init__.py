"""Trainable modules of QuantNetwork, one for each layer.

weight_layer (conv2d and linear), weightless (pooling, addition, and all others), convolution
(padding and convolution as layer specifications state them).
"""

__all__ = ["convolution", "weight_layer", "weightless"]
