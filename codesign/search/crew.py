"""Work on the trials of a study: claimed, evaluated in a pool of processes, completed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from codesign.results import UserError
from codesign.search.store import TrialStore
from codesign.search.trials import Claim, Proposal
from codesign.tools.workers import Pool

POLL_S = 0.2
"""Seconds between looks for trials that other processes have asked for or completed."""

Evaluation = Callable[[Proposal], Mapping[str, Any]]
"""Evaluation of a proposal, which can be pickled; returns the attributes that it has measured."""


def work(
    store: TrialStore,
    pool: Pool,
    evaluate: Evaluation,
    going: Callable[[], bool],
    done: Callable[[Proposal, Mapping[str, Any]], None] = lambda proposal, measured: None,
) -> None:
    """Evaluate what waits in the store, as many trials at once as the pool takes, while ``going``.

    going: asked before each look at the store, at least every POLL_S while nothing is done, or
    after each task of a pool without processes. done: called with each trial that was completed
    here. At the end, however it comes, trials in work are dropped and wait again.

    Raises what ``evaluate`` raised, BrokenExecutor when a process died, and UserError when the
    store cannot be reached.
    """
    claims: dict[str, Claim] = {}
    try:
        with store.beating():
            while going():
                while pool.free and (claim := store.claim()):
                    claims[claim.proposal.key] = claim
                    pool.start(evaluate, claim.proposal)
                if not pool.busy:
                    time.sleep(POLL_S)
                for proposal, measured in pool.finished(POLL_S):
                    if store.complete(claims.pop(proposal.key), measured):
                        done(proposal, measured)
    finally:
        pool.drop()
        for claim in claims.values():
            with contextlib.suppress(UserError):  # others find out that it is silent
                store.release(claim)
