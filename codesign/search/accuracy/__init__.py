"""Expected accuracy of networks that are not trained yet.

short_training (a few epochs), features and predictor (a Gaussian process), supernet (shared
weights), one_bits (another objective), study and study_data (the shipped tables), evaluation (how
well it predicts).
"""

__all__ = [
    "evaluation",
    "features",
    "one_bits",
    "predictor",
    "short_training",
    "study",
    "study_data",
    "supernet",
]
