"""Float networks of others: they get bits and scales from examples, and become designs.

subjects (the network, made to take the input of a data set), quantising (bits, calibration and
training on), several (networks of several outputs), float_accuracy (before and after).
"""

__all__ = ["float_accuracy", "quantising", "several", "subjects"]
