"""Area models: resources composed of blocks, corrected by a Gaussian process.

blocks/ (features of each hardware block), composed (one resource), model (all of them),
model_file (on disk), dsps and memories (counted exactly), evaluation (errors, cross-validated).
"""

__all__ = [
    "composed",
    "dsps",
    "evaluation",
    "model",
    "model_file",
]
