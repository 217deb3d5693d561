"""Arguments of ``explore`` on the command line, with their help texts."""

from __future__ import annotations

import argparse
from pathlib import Path

from codesign.cli import data_options, options
from codesign.cli.search_options import SearchOptions
from codesign.fpga import devices
from codesign.goals import GOALS, PREFERENCES
from codesign.results import MOVES, OLD_OPTIONS, Budget
from models.data import datasets
from models.data.targets import CLASSES, TASKS

_DEFAULT = SearchOptions()


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add all options of ``explore``. Those that are not given are None."""
    _budget_options(
        parser.add_argument_group(
            "budget", "Hard limits of the design. Give --lut-budget, --device or both."
        )
    )
    _search_options(parser.add_argument_group("search"))
    _choice_options(
        parser.add_argument_group(
            "choice", "Which of the networks that were trained in full is built, and on which NPU."
        )
    )
    _effort_options(parser.add_argument_group("effort"))
    files = parser.add_argument_group("files")
    files.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML file of any of these options, named with underscores (lut_budget: 30000); the "
        "command line overrides it (default: none)",
    )
    files.add_argument("--out", metavar="DIR", help=f"output folder (default: {_DEFAULT.out})")
    options.storage(files)
    options.memory(files)
    options.prefix(files)
    files.add_argument(
        "--resume",
        action="store_true",
        default=None,
        help="continue the search in --out; without it, an earlier search there is replaced",
    )


def _budget_options(group: argparse._ArgumentGroup) -> None:
    limits = {
        "--lut-budget": "most LUTs after synthesis (default: those of --device)",
        "--dsp-budget": "most DSP slices; 0: all products are made in LUTs "
        f"(default: {_DEFAULT.dsp_budget})",
        "--bram-budget": "most 36 Kb block RAMs (default: those of --device, else no limit)",
        "--ff-budget": "most flip-flops (default: those of --device, else no limit)",
        "--min-throughput": "fewest images per second, back to back (default: no limit)",
        "--max-latency-us": "most microseconds from start to result of one image (default: no "
        "limit)",
        "--max-bit-operations": "most bit operations of one image, weight bits times input bits of "
        "its products: a proxy of energy (default: no limit)",
        "--max-lut-us": "largest product of estimated LUTs and microseconds from image to image: a "
        "proxy of energy (default: no limit)",
    }
    for flag, text in limits.items():
        group.add_argument(flag, type=options.number(0), metavar="N", help=text)
    options.device(
        group,
        "its resources limit every budget, and synthesis and project files are for it (default: "
        f"none; project files for {devices.DEFAULT})",
    )
    group.add_argument(
        "--clock-mhz",
        type=options.number(1, 1000),
        metavar="MHZ",
        help="clock in MHz, 1 to 1000, that turns cycles into time; not checked by place and "
        f"route (default: the device's, else {Budget().clock_mhz:g}; on ECP5 the lower end of what "
        "each NPU is estimated to reach)",
    )


def _search_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--dataset",
        metavar="NAME",
        help=f"{', '.join(datasets.NAMED)}, or the path of an .npz file, image folder or zip of "
        f"one (default: {_DEFAULT.dataset})",
    )
    options.data_dir(group)
    data_options.add_to(group)
    group.add_argument(
        "--task",
        choices=TASKS,
        help="what the data's answers are: classes alone are searched for, any other task is "
        f"refused at once, with what to do instead (default: {CLASSES})",
    )
    group.add_argument(
        "--network",
        metavar="DIR",
        help="network folder of a float network (codesign import), file of weights (codesign "
        "train), or run or build folder (codesign explore): bits of its layers, channels to cut, "
        "sparsity and the NPU are searched for it, with its weights (default: networks are "
        "searched and trained from scratch)",
    )
    group.add_argument(
        "--zoo",
        metavar="DIR",
        action="append",
        help="folder of such networks, of which one is chosen together with its changes and its "
        "NPU, under one budget and one number of --networks; what does not go with the data set is "
        "left out, with the reason; may be given several times (default: none)",
    )
    group.add_argument(
        "--moves",
        metavar="LIST",
        help="with --network or --zoo: what may be changed of it, one or more of "
        f"{', '.join(MOVES)}, with commas between them (default: {_DEFAULT.moves})",
    )
    group.add_argument(
        "--space",
        metavar="SPACE",
        help="search space: a YAML file, or the name of a shipped one: digits, images, photos, "
        "signals, tables (default: chosen by the shape of the data)",
    )
    group.add_argument(
        "--strategy",
        metavar="NAME",
        help="search algorithm: guided (evolution, with a model where candidates are "
        "dear), evolution, nsga2, tpe, random or another one of docs/reference/strategies.md, or "
        "module:Class for one of your own, which imports the module "
        f"(default: {_DEFAULT.strategy})",
    )
    group.add_argument(
        "--area-confidence",
        type=options.number(0.5, 0.99),
        metavar="LEVEL",
        help="one-sided confidence level, 0.5 to 0.99, of the area bound that the budget is "
        "tested with: higher rejects more designs that would have fitted "
        f"(default: {_DEFAULT.area_confidence})",
    )
    for old, new in OLD_OPTIONS.items():
        kind = type(getattr(_DEFAULT, new))
        group.add_argument(f"--{old}", dest=new, type=kind, help=argparse.SUPPRESS)
    group.add_argument(
        "--area-model",
        metavar="FILE",
        help="area model of your own synthesis flow, written by codesign calibrate (default: the "
        "shipped model, of Yosys)",
    )
    options.boo(group)
    group.add_argument(
        "--warm-start",
        metavar="RUN",
        action="append",
        help="folder of an earlier search, also of other images, whose trained networks say what "
        "to expect of others; may be given several times (default: none)",
    )
    group.add_argument(
        "--seed",
        type=options.integer(0),
        metavar="N",
        help="seed of data split, search and training; the same seed gives the same design "
        f"(default: {_DEFAULT.seed})",
    )


def _choice_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prefer",
        choices=PREFERENCES,
        help="what decides between networks whose validation accuracies are within a standard "
        "error of their difference: throughput, then fewer LUTs, then fewer block RAMs; area: "
        "fewest LUTs first; knee: all accuracies count, the knee of the front is taken; accuracy: "
        "only equal ones are equal; any other: the objective of that name first "
        f"(default: {_DEFAULT.prefer})",
    )
    group.add_argument(
        "--objective",
        dest="objectives",
        action="append",
        choices=GOALS,
        help="a further objective, which the front is then over beside accuracy, throughput and "
        "LUTs; may be given several times; bit-operations and lut-time are proxies of energy "
        "(default: that of --prefer)",
    )
    group.add_argument(
        "--folds",
        type=options.integer(1, 50),
        metavar="K",
        help="judge each of the --finish networks on K splits of training and validation images, "
        "as a mean: tells more networks apart where there are few images, for K - 1 more full "
        f"trainings of each (default: {_DEFAULT.folds})",
    )
    group.add_argument(
        "--min-accuracy",
        type=options.number(0, 100),
        metavar="PERCENT",
        help="validation accuracy that is enough, in place of one that the validation images "
        "cannot tell from the best; it is that of a network as it is delivered, at the epoch kept; "
        "if no network has it, the most accurate one is taken, and a note says so (default: none)",
    )
    group.add_argument(
        "--keep-accuracy",
        type=options.number(0, 100),
        metavar="POINTS",
        help="with --network or --zoo: accept only designs at most POINTS percentage points of "
        "validation accuracy below the float network, of a zoo the most accurate one that is "
        "searched (default: the choice is that of --prefer)",
    )
    group.add_argument(
        "--boo-within",
        type=options.number(0, 100),
        metavar="POINTS",
        help="choose the network whose weights have the fewest one-bits among those at most POINTS "
        "percentage points below the best validation accuracy; this also makes few one-bits an "
        "objective of the search (default: accuracy alone decides)",
    )


def _effort_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--networks",
        type=options.integer(1),
        metavar="N",
        help=f"networks to train briefly and compare (default: {_DEFAULT.networks})",
    )
    group.add_argument(
        "--finish",
        type=options.integer(1),
        metavar="K",
        help="networks, the most promising ones, to train in full before one is chosen; a time "
        f"limit lowers it (default: {_DEFAULT.finish})",
    )
    group.add_argument(
        "--epochs",
        type=options.integer(2),
        metavar="N",
        help="epochs of each full training (default: chosen by the size of the data set)",
    )
    group.add_argument(
        "--teacher",
        metavar="FILE",
        help="weights of codesign train, or a build folder, of a network for the same data whose "
        "answers full trainings learn beside the labels (default: labels alone)",
    )
    group.add_argument(
        "--finetune",
        type=options.integer(0),
        metavar="EPOCHS",
        help="with --network or --zoo: epochs of training that each of the --finish networks gets, "
        f"towards the float network's answers; 0: calibrated only (default: {_DEFAULT.finetune})",
    )
    group.add_argument(
        "--time-limit",
        type=options.number(0.1),
        metavar="MIN",
        help="minutes for search and training, which are longer or shorter by it; build, synthesis "
        "and simulation take some more; "
        "the design then depends on the speed of the machine (default: no limit)",
    )
    group.add_argument(
        "--jobs",
        type=options.integer(1),
        metavar="N",
        help=f"processes for training, synthesis and simulation (default: {_DEFAULT.jobs})",
    )
    group.add_argument(
        "--images",
        type=options.integer(1),
        metavar="N",
        help=f"test images to verify in simulation (default: {_DEFAULT.images})",
    )
