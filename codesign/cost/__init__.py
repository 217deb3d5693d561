"""Cost models: FPGA area, clock frequency and cycles per image of a design, without synthesis.

area/ (LUTs, flip-flops, block RAMs, DSP slices), cycles/ (exact cycle counts of batches), data/
(the shipped synthesis and place-and-route results that models are fitted to), characterization/
(how such results are produced), timing (highest clock frequency), table (a batch of NPU
configurations as columns), estimate (area, cycles and constraint violation of a batch of designs),
calibration (factors of another synthesis flow), domain (value ranges of the training data),
regressors (estimators that the models share).
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
