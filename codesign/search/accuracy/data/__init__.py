"""Networks trained for the accuracy predictor; see docs/cost_models.md."""
