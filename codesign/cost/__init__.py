"""Cost models: analytic counts plus regressors learned from synthesis of our own NPU."""
