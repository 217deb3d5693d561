"""Tables of networks trained for the accuracy predictor (docs/cost_models.md)."""
