"""Settings of all tests: the same Hypothesis examples in every run, one thread per worker."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# pytest runs two workers; threads of torch and BLAS would only compete for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell makes background processes and their children ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every machine: a failure in CI is a failure here. Simulations and
# compilations have no useful deadline per example.
settings.register_profile("codesign", derandomize=True, deadline=None, database=None)
settings.load_profile("codesign")
