"""What quantisation after training loses: ``python -m benchmarks.calibration.post_training``."""
