"""Strategies that fit a model to the results and ask for what it promises.

model_search (the pool, the gain in hypervolume that is expected), which guided (the default: with
gaussian_process on the genes) and graph_kernels (with kernel_process on graphs) are made of;
optuna_samplers (TPE and GP).
"""

__all__ = [
    "gaussian_process",
    "graph_kernels",
    "guided",
    "kernel_process",
    "model_search",
    "optuna_samplers",
]
