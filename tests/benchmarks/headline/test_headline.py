"""The front's figures are recomputed from design file and integers: what was changed is found."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.headline import __main__ as command
from benchmarks.headline import adding, index, measuring, picture, published, stored, verify
from codesign.build.build_folder import NETWORK
from codesign.results import UserError
from models.integer import files, reference
from tests.benchmarks.headline import tiny_front
from tests.paths import ROOT

MADE_BY = "codesign build built.yaml --out build/built"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_front.data(tmp_path_factory.mktemp("data") / "cifar")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_front.build(tmp_path_factory.mktemp("build") / "built")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, images: Path, build: Path) -> Path:
    """The root of a checkout with one design, put in by the command."""
    root = tmp_path_factory.mktemp("front")
    source = adding.Source(build, "tiny", (MADE_BY,), earlier=2)
    adding.add(root, source, images, clock=False)
    return root


@pytest.fixture
def changed(front: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(front, tmp_path / "changed"))


def verdict(root: Path, data: Path) -> verify.Verdict:
    (found,) = verify.verify(root, verify.chosen(root, None), data, clock=False)
    return found


def test_the_command_prints_the_objects_of_the_index(
    front: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From nothing: no cache answers."""
    assert command.main(["--root", str(front), "verify", str(images), "--no-clock"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown == json.loads((front / index.FOLDER / index.INDEX).read_text())
    (one,) = shown
    assert one["images_per_second"] == pytest.approx(100e6 / one["cycles_per_image"], abs=0.01)
    assert one["test_evaluations"] == 3
    assert one["commands"] == [MADE_BY]


def test_the_accuracy_is_that_of_all_test_images(front: Path, images: Path) -> None:
    """By hand, from the batch itself."""
    (entry,) = index.read(front)
    network = stored.load(front, entry).network
    rows = np.frombuffer((images / "test_batch.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    answers = reference.predict(network, rows[:, 1:].reshape(-1, 3, 32, 32)).argmax(axis=1)
    assert len(answers) == tiny_front.TEST_IMAGES
    assert entry.test_accuracy == round(float((answers == rows[:, 0]).mean()), 6)


def test_one_bit_of_one_weight_is_found(changed: Path, images: Path) -> None:
    (entry,) = index.read(changed)
    path = (changed / entry.design).with_name(NETWORK)
    network = files.load(path)
    first = network.mac_layers[0]
    weights = first.sources[0].weights.copy()
    weights.flat[0] ^= 1
    source = dataclasses.replace(first.sources[0], weights=weights)
    layer = dataclasses.replace(first, sources=(source,))
    files.save(dataclasses.replace(network, layers=(layer, *network.layers[1:])), path)
    found = verdict(changed, images)
    sha256 = stored.digest(changed, entry)
    assert sha256 != entry.network_sha256
    expected = (
        f"tiny: network_sha256: the index says {entry.network_sha256!r}, recomputed {sha256!r}"
    )
    assert expected in found.differences


def test_one_bit_of_the_file_is_found(changed: Path, images: Path) -> None:
    """In the middle, where it is damaged, too."""
    (entry,) = index.read(changed)
    path = (changed / entry.design).with_name(NETWORK)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert any("network_sha256" in line for line in verdict(changed, images).differences)


def test_changed_figures_are_named_with_both_values(
    changed: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = {
        "luts": -1, "brams": 0.5, "dsps": 1, "cycles_per_image": -1, "images_per_second": 0.01,
        "test_accuracy": 0.0001,
    }  # fmt: skip
    (true,) = index.read(changed)
    claimed = {name: getattr(true, name) + by for name, by in steps.items()}
    index.write(changed, [dataclasses.replace(true, **claimed)])
    monkeypatch.setattr(verify, "fresh_caches", contextlib.nullcontext)  # takes seconds to fill
    assert command.main(["--root", str(changed), "verify", str(images)]) == 1
    shown, said = capsys.readouterr()
    assert [line for line in said.splitlines() if line.startswith("DIFFERENT")] == [
        f"DIFFERENT: tiny: {name}: the index says {value!r}, recomputed {getattr(true, name)!r}"
        for name, value in claimed.items()
    ]
    assert json.loads(shown) == {**index.to_dict(true), "fmax_mhz": None}


def test_a_larger_npu_in_the_design_file_is_found(changed: Path, images: Path) -> None:
    path = changed / index.read(changed)[0].design
    path.write_text(path.read_text().replace("columns: 4", "columns: 8"))
    named = {line.split(": ")[1] for line in verdict(changed, images).differences}
    assert named == {"luts", "brams"}


def test_what_the_simulation_finds_is_a_difference(
    front: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected values that are off by one stand for hardware that is."""
    true = measuring.pipeline.vectors

    def wrong(*arguments):
        found = true(*arguments)
        return dataclasses.replace(
            found, expected={name: value + 1 for name, value in found.expected.items()}
        )

    monkeypatch.setattr(measuring.pipeline, "vectors", wrong)
    (line,) = verdict(front, images).differences
    assert line.startswith("tiny: simulation: ")


def test_what_is_missing_is_said(
    front: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(front), "verify"]
    assert command.main([*root, str(tmp_path / "nowhere.zip")]) == 2
    assert "nowhere.zip: no such zip or folder" in capsys.readouterr().err
    assert command.main([*root, str(tmp_path), "--design", "tinny"]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err
    assert command.main(["--root", str(tmp_path), "verify", str(front)]) == 2
    assert "index.json" in capsys.readouterr().err


def test_data_that_is_not_cifar10_is_refused(front: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    assert command.main(["--root", str(front), "verify", str(tmp_path), "--no-clock"]) == 2


def test_a_design_of_that_name_is_replaced_only_if_asked(
    changed: Path, images: Path, build: Path
) -> None:
    source = adding.Source(build, "tiny", (MADE_BY,))
    with pytest.raises(UserError, match="--replace"):
        adding.add(changed, source, images, clock=False)
    left = changed / index.FOLDER / "tiny" / "old.log"
    left.write_text("of the design before")
    entry = adding.add(changed, dataclasses.replace(source, replace=True), images, clock=False)
    assert entry.test_evaluations == 4
    assert not left.exists()
    assert index.read(changed) == [entry]


def test_a_design_without_commands_or_log_is_refused(
    changed: Path, images: Path, build: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="--command"):
        adding.Source(build, "other", ())
    bare = Path(shutil.copytree(build, tmp_path / "bare"))
    (bare / "reports" / "training.json").unlink()
    with pytest.raises(UserError, match="--log"):
        adding.add(changed, adding.Source(bare, "other", ("x",)), images, clock=False)
    assert len(index.read(changed)) == 1


def test_no_path_of_the_machine_is_kept(front: Path) -> None:
    text = (front / index.FOLDER / "tiny" / index.DESIGN).read_text()
    assert "name: cifar10.zip" in text
    assert "somewhere" not in text


# What is committed --------------------------------------------------------------------------


def test_the_index_is_of_the_files_beside_it() -> None:
    for entry in index.read(ROOT):
        assert stored.digest(ROOT, entry) == entry.network_sha256, entry.name
        assert entry.design == str(index.FOLDER / entry.name / index.DESIGN)
        assert entry.images_per_second == round(100e6 / entry.cycles_per_image, 2)
        folder = (ROOT / entry.design).parent
        assert sum(path.stat().st_size for path in folder.iterdir()) < 2 << 20, entry.name
        assert (folder / stored.README).read_text() == stored.readme(entry)


def test_the_picture_is_of_the_index() -> None:
    drawn = picture.draw(index.read(ROOT), published.read())
    assert (ROOT / command.PICTURE).read_text() == drawn, "python -m benchmarks.headline picture"
