"""Strategies that fit a model to the results and ask for what it promises.

guided (the default), with the gaussian_process of its own; optuna_samplers (TPE and GP).
"""

__all__ = ["gaussian_process", "guided", "optuna_samplers"]
