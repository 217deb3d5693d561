"""Accuracy estimation for networks that are not, or only briefly, trained.

short_training (proxy training of a few epochs), features and predictor (Gaussian process),
transfer (the predictor of a search, which knows other trainings), earlier (reads these),
quantising (trials of a network that exists, without training), measuring and sensitivity
(what its bits cost, and the predictor from that), zoo (both for several networks),
acquisition (what to train next), supernet (weight sharing), one_bits (prediction of the 1-bits of
the weights), study and study_data (the shipped tables), evaluation (rank correlation and
calibration of the predictors).
"""

__all__ = [
    "acquisition",
    "earlier",
    "evaluation",
    "features",
    "measuring",
    "one_bits",
    "predictor",
    "quantising",
    "sensitivity",
    "short_training",
    "study",
    "study_data",
    "supernet",
    "transfer",
    "zoo",
]
