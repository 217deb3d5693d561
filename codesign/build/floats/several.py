"""Float networks of several outputs: they are calibrated towards their own answers.

No data has an answer to each output, so none is looked at: examples alone say which codes tensors
need. What comes out is an integer network like that of a quantised file of several outputs.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.build import npu_file, pipeline
from codesign.build.floats import subjects
from codesign.build.floats.subjects import SEED, Subject
from codesign.build.imported import ImportedDesign
from codesign.design import DatasetSpec
from models.calibration import joint
from models.data import datasets
from models.data.datasets import Split
from models.data.values import InputRange
from models.importing.ends import joined_order
from models.importing.folder import NetworkFolder
from models.integer import parts, reference
from models.integer.lower import lower
from models.integer.network import IntegerNetwork
from models.quantisation.plan import Quantisation
from models.tasks.measures import Reals
from models.training.matching import check_input
from rtl_gen.config import NpuConfig

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork


@dataclass(frozen=True, eq=False)
class Likeness:
    """Nearness of an output of the integer network to the float one's, on the same examples.

    Made by ``Several.likenesses``.
    """

    noise_db: float
    """Variance of the float output over the mean squared error, in dB; infinite without error."""
    largest: float
    """Largest error."""
    same: float | None
    """Share of the examples whose largest value is the same; None unless the output is a list."""

    @classmethod
    def of(cls, wanted: Reals, found: Reals) -> Likeness:
        """Compare outputs of n examples, both (n, ...).

        >>> Likeness.of(np.array([[1.0, 3.0]]), np.array([[1.0, 3.1]])).same
        1.0
        """
        errors = found - wanted
        power, noise = float(wanted.var()), float(np.square(errors).mean())
        ratio = np.inf if noise == 0 else 10 * np.log10(power / noise) if power else -np.inf
        values = [each.reshape(len(each), -1) for each in (wanted, found)]
        is_list = values[0].shape[1] > 1 and sum(side > 1 for side in wanted.shape[1:]) == 1
        same = float(np.equal(*(each.argmax(axis=1) for each in values)).mean())
        return cls(float(ratio), float(np.abs(errors).max()), same if is_list else None)

    def to_dict(self) -> dict[str, Any]:
        """Return signal_to_noise_db (None without error), largest_error and same_largest."""
        ratio = self.noise_db if np.isfinite(self.noise_db) else None
        return {
            "signal_to_noise_db": ratio, "largest_error": self.largest, "same_largest": self.same,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Several:
    """A float network of several outputs that takes the levels of a data set. Made by ``prepare``.

    subject: what is calibrated, with outputs in units of their own.
    """

    found: NetworkFolder
    subject: Subject
    values: InputRange
    """The values of the file's input that become input level 0 and 255."""

    def integer(self, trained: TrainedNetwork, scale_bits: int) -> IntegerNetwork:
        """Return the integers of the calibrated network, with the outputs of the file.

        Raises ModelError as ``lower`` does.
        """
        own = self.subject.own
        assert own is not None
        network = lower(trained, scale_bits)[1]
        output = dataclasses.replace(
            network.output, scale=tuple(np.asarray(network.output.scale) * own.unit)
        )
        return dataclasses.replace(
            network,
            tensors={**network.tensors, output.name: output},
            order=joined_order(self.found.outputs),
            parts=tuple(end.part for end in self.found.outputs),
            offset=tuple(own.mean.tolist()),
        )

    def design(self, npu: NpuConfig, clock_mhz: float = npu_file.CLOCK_MHZ) -> ImportedDesign:
        """Return the design of the network's build folder. Raises UserError for its name."""
        found = self.found
        return ImportedDesign(
            found.name, found.source, self.values, npu, found.pixels, clock_mhz
        )  # fmt: skip

    def likenesses(
        self, network: IntegerNetwork, quantisation: Quantisation, split: Split
    ) -> dict[str, Likeness]:
        """Return how near each output, by name, is to the float network's on a part of the data."""
        from models.calibration import loading  # torch takes seconds to import
        from models.training import trained

        own = self.subject.own
        assert own is not None
        floating = loading.load(own.network, quantisation)
        last = own.real(trained.outputs(floating, split.images))
        wanted = parts.split(network.parts, last[:, network.order])
        real = network.real(reference.predict(network, split.images))
        found = parts.split(network.parts, real)
        return {name: Likeness.of(wanted[name], found[name]) for name in wanted}


def prepare(
    found: NetworkFolder,
    spec: DatasetSpec,
    data_dir: Path | None,
    input_bits: int = 8,
    progress: datasets.Progress | None = None,
) -> Several:
    """Return the network of a folder, made to take the input levels of a data set.

    Arguments and errors: as for ``subjects.prepare``, but that the outputs are any.
    """
    from models.calibration import calibrating  # torch takes seconds to import

    assert found.floating is not None
    read = functools.partial(pipeline.load_data, spec, data_dir, SEED, progress)
    dataset = read()
    check_input(found.floating.graph, dataset)
    taken = subjects.taking(found, dataset, read, input_bits)
    examples = calibrating.draw(taken.dataset.train, taken.network).images
    calibrating.check_images(taken.network.graph, examples)
    order = joined_order(found.outputs)
    assert order is not None  # several outputs all have one
    own = joint.fit(taken.network, examples, taken.zero_point, order)
    notes = (*taken.notes, "the data's answers are not looked at, but those of the float network")
    subject = Subject(
        found.name, own.network, taken.zero_point, spec, taken.dataset,
        None if taken.mapping.is_pixels else taken.mapping, notes, own=own,
    )  # fmt: skip
    return Several(found, subject, taken.values)
