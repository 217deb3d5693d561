"""Area models: a linear model over hardware blocks, corrected by a Gaussian process.

blocks/ (features of each hardware block), composed (the model of one resource), model (all
resources, with conformal prediction intervals), model_file (fitted models on disk), dsps and
memories (DSP slices and block RAMs, counted), evaluation (cross-validated errors).
"""

__all__ = [
    "composed",
    "dsps",
    "evaluation",
    "model",
    "model_file",
]
