"""Tables of networks trained for the predictor (docs/measurements/accuracy-predictor.md)."""
