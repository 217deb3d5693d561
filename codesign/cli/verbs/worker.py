"""``codesign worker``: train networks for a search that runs elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from codesign.cli import options
from codesign.cli.console import Console
from codesign.results import STUDY

NAME = "worker"
HELP = "help a search on another machine, or in another process, with its trainings"
DESCRIPTION = """\
Train the networks that codesign explore asks for in a storage that both reach,
beside the search itself, which trains, too. Any number of workers may come and
go: what one that is killed was training is given out again after a minute.
Results are those of the search alone on the same kind of machine.

Input:   --storage and --study as explore has them, or the journal of a search
         in a folder that both reach; the files of its data set, which must be
         the same ones.
Output:  trainings in that study; nothing is written here.

It waits for the search to begin, and ends when the search has no more networks
to train briefly; what explore does then, it does alone.
Exit status: 0 the search's trainings are done, 1 a worker process died, 2 bad
input or a storage that cannot be reached, 130 interrupted."""
EXAMPLES = """\
  codesign worker --storage postgresql://me@host/trials --study digits --jobs 4
  codesign worker --storage runs/explore/trials.journal
  codesign worker --storage sqlite:////shared/trials.db --dataset ~/data/mine.npz"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.storage(parser, required=True)
    parser.add_argument(
        "--jobs",
        type=options.integer(1, 256),
        default=1,
        metavar="N",
        help="networks to train at the same time, one process each (default: 1)",
    )
    parser.add_argument(
        "--dataset",
        metavar="PATH",
        help="where the search's data set lies on this machine (default: the same name or path "
        "as the search has)",
    )
    options.data_dir(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    from codesign.explore import WorkerSettings, serve  # takes seconds to import

    data_dir = None if args.data_dir is None else Path(args.data_dir)
    study = STUDY if args.study is None else args.study
    settings = WorkerSettings(args.storage, study, args.jobs, args.dataset, data_dir)
    trained = serve(settings, console.progress)
    console.clear()
    console.say(f"{trained} networks trained for {settings.place}")
    console.result({"trained": trained, "study": study})
    return 0
