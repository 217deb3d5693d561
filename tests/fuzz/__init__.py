"""Damaged files for every reader of what comes from elsewhere: ``python -m tests.fuzz``."""
