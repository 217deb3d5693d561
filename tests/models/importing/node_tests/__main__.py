"""Runs ONNX's node tests and writes docs/measurements/onnx-node-tests.md."""

from __future__ import annotations

import datetime
import sys

from tests.models.importing.node_tests import cases, page, running

if __name__ == "__main__":
    outcomes = {name: running.run(test) for name, test in cases.cases().items()}
    page.PATH.write_text(page.text(outcomes, datetime.date.today().isoformat()))
    for name, outcome in outcomes.items():
        if outcome.verdict == "wrong":
            sys.stdout.write(f"wrong: {name}: {outcome.why}\n")
    passed = sum(outcome.verdict == "passed" for outcome in outcomes.values())
    sys.stdout.write(
        f"{passed} of {len(outcomes)} node tests pass; {page.PATH.name} lists the rest\n"
    )
