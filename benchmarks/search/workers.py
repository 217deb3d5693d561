"""Measure what many workers on one study lose, and how much faster they are.

``python -m benchmarks.search.workers [--storage sqlite|journal|postgresql] [--trials N]
[--seconds S] [--workers N] [--kills N] [--seed N]``

A search of made-up networks, each of which "trains" by sleeping: what is measured is the study.
Prints one JSON object:

- storage, trials, workers, seconds (of one evaluation)
- undisturbed_seconds: from the first evaluation to the last, which begin when all workers are up
- share_of_linear: trials x seconds / (workers x undisturbed_seconds)
- killed: ends by SIGKILL at random, of workers and of the search itself, each started again
- killed_in_trial: those that had a trial in work, at least the first MID_TRIAL
- lost, repeated: networks that no finished trial has, or more than one, after these kills
- evaluated_twice: finished evaluations of a network beyond the first one
- same_front: the front, and the order of the trials, are those of the undisturbed search
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search import postgres
from codesign.search.crew import work
from codesign.search.pareto import pareto_mask
from codesign.search.storage import StudyPlace
from codesign.search.store import Heartbeat, TrialStore
from codesign.search.studies import ENDED, STATE
from codesign.search.trials import Proposal, TrialRecord
from codesign.tools.workers import Pool

BATCH = 8
"""Networks that the search asks for at a time; the next batch follows from their results."""
HEARTBEAT = Heartbeat(interval_s=0.3, grace_s=2.0)
KILL_S = 3.0
"""Mean time between two kills: a process takes about two seconds to start."""
MID_TRIAL = 2
"""First kills, which wait for a worker that has a trial in work."""
SETTINGS = {"seed": 0}


@dataclass(frozen=True)
class Sleep:
    """Evaluation that sleeps, and notes its beginning and its end in a file."""

    log: Path
    seconds: float

    def __call__(self, proposal: Proposal) -> dict[str, Any]:
        """Return an accuracy that follows from the network's key."""
        self.note("begun", proposal.key)
        time.sleep(self.seconds)
        self.note("done", proposal.key)
        return {"validation_accuracy": _fraction(proposal.key, "accuracy")}

    def note(self, what: str, key: str = "-") -> None:
        """Write a line: what happens, to which network, in which process, when."""
        with self.log.open("a") as file:
            file.write(f"{what} {key} {os.getpid()} {time.time()}\n")


def _fraction(*parts: str) -> float:
    digest = hashlib.sha256(" ".join(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def batch(records: Sequence[TrialRecord]) -> list[Proposal]:
    """Return the next networks to train: they follow from the front so far, as in a search.

    They are new ones even where the last batch has changed no front.
    """
    parents = f"{len(records)} " + "+".join(one.key for one in front(records))
    keys = [hashlib.sha256(f"{parents} {k}".encode()).hexdigest()[:12] for k in range(BATCH)]
    known = ("images_per_second", "luts")
    return [
        Proposal(key, {"lanes": 8}, {}, {name: 1e4 * _fraction(key, name) for name in known})
        for key in keys
    ]


def front(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that no other one beats in all objectives, in the order of the study."""
    if not records:
        return []
    goals = np.array([one.values for one in records]) * (-1, -1, 1)
    return [one for one, kept in zip(records, pareto_mask(goals), strict=True) if kept]


def _work(place: StudyPlace, evaluate: Sleep) -> None:
    store = TrialStore(place, SETTINGS, worker=f"worker-{os.getpid()}", heartbeat=HEARTBEAT)
    evaluate.note("up")
    with Pool(0) as pool:
        work(store, pool, evaluate, lambda: store.noted(STATE) != ENDED)


def _search(place: StudyPlace, trials: int, log: Path, workers: int) -> None:
    """Ask for networks, batch by batch, and wait for each; a search that was killed goes on."""
    store = TrialStore(place, SETTINGS, worker="search", heartbeat=HEARTBEAT)
    while log.read_text().count("up ") < workers:
        time.sleep(0.05)
    done: list[TrialRecord] = []
    while len(done) < trials:
        wanted = batch(done)[: trials - len(done)]
        while {one.key for one in wanted} - {one.key for one in store.records()}:
            store.ask(wanted, {"lanes": (8,)})
            time.sleep(0.05)
        done = [one for one in store.records() if one.key in {o.key for o in [*done, *wanted]}]
    store.note(STATE, ENDED)


class Run:
    """One search with its workers, each in a process of its own."""

    def __init__(self, place: StudyPlace, folder: Path, trials: int, workers: int, seconds: float):
        self.place, self.log = place, folder / f"{place.study}.log"
        self.log.touch()
        self.killed = self.killed_in_trial = 0
        self._context = multiprocessing.get_context("spawn")
        self._targets: list[tuple[Any, ...]] = [(_search, place, trials, self.log, workers)]
        self._targets += [(_work, place, Sleep(self.log, seconds))] * workers
        TrialStore(place, SETTINGS)  # so that all begin with a study
        self._processes = [self._start(*target) for target in self._targets]

    def _start(self, target: Any, *arguments: Any) -> BaseProcess:
        process = self._context.Process(target=target, args=arguments)
        process.start()
        return process

    def kill(self, at: int) -> None:
        """Kill a process, 0 the search, and start another one in its place."""
        process = self._processes[at]
        if process.exitcode is not None:
            return
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        process.join()
        self.killed += 1
        self.killed_in_trial += self._in_trial(pid)
        self._processes[at] = self._start(*self._targets[at])

    def _in_trial(self, pid: int | None) -> bool:
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [what for what, _, who, _ in lines if who == str(pid)][-1:] == ["begun"]

    def in_trial(self) -> list[int]:
        """Return the numbers of the workers, from 1 on, that have a trial in work."""
        every = enumerate(self._processes)
        return [at for at, process in every if self._in_trial(process.pid)]

    @property
    def running(self) -> bool:
        """True until the search has ended."""
        return self._processes[0].is_alive()

    def end(self) -> float:
        """Wait until all have ended; return the seconds from the first evaluation to the last."""
        for process in self._processes:
            process.join()
            if process.exitcode:
                raise RuntimeError(f"a process has ended with {process.exitcode}")
        lines = [line.split() for line in self.log.read_text().splitlines()]
        times = [float(at) for what, _, _, at in lines if what != "up"]
        return max(times) - min(times)

    def records(self) -> list[TrialRecord]:
        """Return the finished trials."""
        return TrialStore(self.place, SETTINGS).records()

    def completed(self) -> Counter[str]:
        """Count the finished trials of each network."""
        storage = self.place.open()
        study = storage.get_study_id_from_name(self.place.study)
        trials = storage.get_all_trials(study, deepcopy=False)
        return Counter(str(t.user_attrs["key"]) for t in trials if t.state.name == "COMPLETE")

    def evaluated(self) -> Counter[str]:
        """Count the evaluations of each network that ran to their end."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return Counter(key for what, key, *_ in lines if what == "done")


def measure(
    storage: str, folder: Path, trials: int, workers: int, seconds: float, kills: int, seed: int
) -> dict[str, Any]:  # fmt: skip
    """Return the row of one search that nothing disturbs, and of one with kills at random.

    storage: path or URL of an empty one.
    """
    calm = Run(StudyPlace.of(storage, "calm"), folder, trials, workers, seconds)
    took = calm.end()
    wild = Run(StudyPlace.of(storage, "wild"), folder, trials, workers, seconds)
    chance = random.Random(seed)
    while wild.running and wild.killed < kills:
        time.sleep(chance.uniform(0.5, 1.5) * KILL_S)
        if wild.killed >= MID_TRIAL:
            wild.kill(chance.randrange(workers + 1))
        elif busy := wild.in_trial():
            wild.kill(chance.choice(busy))
    wild.end()
    keys, found = [one.key for one in calm.records()], wild.completed()
    again = wild.evaluated()
    return {
        "trials": trials, "workers": workers, "seconds": seconds,
        "undisturbed_seconds": round(took, 2),
        "share_of_linear": round(trials * seconds / workers / took, 3),
        "killed": wild.killed, "killed_in_trial": wild.killed_in_trial,
        "lost": len(set(keys) - found.keys()),
        "repeated": sum(count - 1 for count in found.values()),
        "evaluated_twice": sum(count - 1 for count in again.values()),
        "same_front": [r.key for r in front(calm.records())]
        == [r.key for r in front(wild.records())]
        and keys == [one.key for one in wild.records()],
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--storage", choices=("journal", "sqlite", "postgresql"), default="journal")
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    own = postgres.server() if args.storage == "postgresql" else nullcontext("")
    with tempfile.TemporaryDirectory() as name, own as server:
        folder = Path(name)
        storage = {
            "journal": str(folder / "trials.journal"),
            "sqlite": f"sqlite:///{folder}/trials.db",
            "postgresql": server,
        }[args.storage]
        row = measure(
            storage, folder, args.trials, args.workers, args.seconds, args.kills, args.seed
        )
        print(json.dumps({"storage": args.storage, **row}))


if __name__ == "__main__":
    main()
