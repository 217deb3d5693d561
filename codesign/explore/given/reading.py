"""The network that a search starts from, wherever its weights are, and the data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from codesign.build import imported, pipeline
from codesign.build.floats import subjects
from codesign.build.floats.subjects import Subject
from codesign.build.manifest import MANIFEST
from codesign.explore.replacing import SUMMARY, TRAINING
from codesign.explore.settings import ExploreSettings
from codesign.results import UserError
from models.files.reading import quoted, read_json, told_as
from models.graph.layers import Activation
from models.training.matching import check_match


def read(settings: ExploreSettings, progress: Callable[[int, int], None]) -> Subject:
    """Return the float network of ``settings.network``, for the data set, which comes with it.

    That is a folder of an imported float network, a file of weights that ``codesign train`` wrote,
    or a run or build folder of ``codesign explore``, whose weights are in the run's folder. Raises
    UserError for anything else, such as an integer network, whose bits are fixed;
    DatasetError, ModelError for images or classes that the network does not have, or too few images
    to calibrate with.
    """
    from models.calibration.calibrating import check_images  # torch takes seconds to import

    path = Path(settings.network or "")
    own = _weights_file(path)
    found = _own(own, settings, progress) if own else _imported(path, settings, progress)
    curved = [one.name for one in found.network.graph.layers if isinstance(one.spec, Activation)]
    if curved:
        raise UserError(
            f"{path}: layer {curved[0]} looks its codes up in a table, and NPUs with "
            "activation_tables are not searched; codesign train and build take the network"
        )
    for split in (found.dataset.train, found.dataset.validation):
        check_images(found.network.graph, split.images)
    return found


def is_network(path: Path) -> bool:
    """Return True if ``read`` takes ``path`` for one network, whatever is wrong with it."""
    own = path.is_file() or any((path / name).is_file() for name in (SUMMARY, MANIFEST))
    return own or imported.is_network(path)


def _imported(
    path: Path, settings: ExploreSettings, progress: Callable[[int, int], None]
) -> Subject:
    """Return the float network of a network folder, as ``read`` does."""
    if not imported.is_network(path):
        raise UserError(
            f"{path} is no network folder (codesign import FILE --out DIR writes one), no file of "
            "weights (codesign train) and no run or build folder (codesign explore)"
        )
    found = subjects.network_of(path)
    return subjects.prepare(
        found, settings.data, settings.data_dir, progress=progress, seed=settings.seed
    )


def _own(path: Path, settings: ExploreSettings, progress: Callable[[int, int], None]) -> Subject:
    """Return the network of a file of weights, whose bits are searched anew."""
    from models.calibration import own  # torch takes seconds to import
    from models.training.trained import TrainedNetwork

    trained = TrainedNetwork.load(path)
    if not trained.classifies:
        raise UserError(
            f"{path}: was trained for {trained.task}, and explore searches for classifiers; "
            "codesign train --start trains its layers on with the bits of another design"
        )
    dataset = pipeline.load_data(settings.data, settings.data_dir, settings.seed, progress)
    network = own.float_network(trained)
    check_match(network.graph, dataset)
    mapping, zero_point = dataset.input_range, trained.quantisation.input_zero_point
    seen = (
        f"validation images are those of --seed {settings.seed}: a network that was trained with "
        "another one has seen some of them, which flatters validation accuracy"
    )
    return Subject(
        network.graph.name, network, zero_point, settings.data, dataset,
        None if mapping.is_pixels else mapping, (seen,),
    )  # fmt: skip


def _weights_file(path: Path) -> Path | None:
    """Return the weights of a run or build folder of ``explore``, or a file itself; None: neither.

    Raises UserError for a run without a design, and for a build folder whose weights are elsewhere.
    """
    if path.is_file():
        return path
    run, name = path, path.name
    if (path / SUMMARY).is_file():
        with told_as(UserError):
            design = read_json(path / SUMMARY).get("design")
        if not isinstance(design, str):
            raise UserError(f"{quoted(str(path))} is a search that has built no design")
        name = Path(design).parent.name
    elif (path / MANIFEST).is_file():
        run = path.resolve().parent.parent
        name = path.resolve().name
    else:
        return None
    found = run / TRAINING / f"{name}.weights"
    if not found.is_file():
        raise UserError(
            f"{quoted(str(path))} holds the integers of a network, and {quoted(str(found))} is not "
            "there: name the file of weights that codesign train wrote"
        )
    return found
