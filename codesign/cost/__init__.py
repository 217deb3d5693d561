"""What a design will take, estimated: area, clock and cycles.

area/ (LUTs, flip-flops, block RAMs, DSP slices), cycles/ (exact, for batches), data/ (the
synthesis results that the models learn from), characterization/ (how they are made), timing
(clock), table (NPUs as columns), estimate (a batch of candidates), calibration (factors from a
user's own flow), domain and regressors (what models share).
"""

__all__ = [
    "area",
    "calibration",
    "characterization",
    "cycles",
    "data",
    "estimate",
    "regressors",
    "table",
    "timing",
]
