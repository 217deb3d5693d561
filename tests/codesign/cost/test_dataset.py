"""The synthesis data set survives round trips, is read strictly, and grows resumably.

Measuring skips what is known, keeps tool versions apart, and loses nothing on a full disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from codesign.cost.area.composed import analytic
from codesign.cost.characterization import characterize, measuring, sampling
from codesign.cost.characterization.characterize import Measurement
from codesign.cost.data import config_csv, dataset, module_data
from codesign.cost.data.dataset import Row
from codesign.cost.data.module_data import ModuleRow
from codesign.cost.table import ConfigTable
from codesign.fpga.yosys import YosysError
from codesign.results import UserError
from models.files import writing
from rtl_gen import emit
from rtl_gen.config import NpuConfig

CONFIGS = [NpuConfig(), NpuConfig(pixels=1), NpuConfig(lanes=4, columns=4, multiplier="dsp")]


def fake(config: NpuConfig) -> Row:
    """Return a row as if synthesis had found 1,000 LUTs per pixel lane."""
    return Row(
        config, luts=1000.0 * config.pixels, lutrams=20.0, ffs=900.0, brams=1.5, dsps=0.0,
        rtl_hash="0" * 12, tool="fake 1", date="2026-01-01", seconds=2.04,
    )  # fmt: skip


def measurement(row: Row) -> Measurement:
    """Return the row with modules that add up to it."""
    modules = [
        ModuleRow(
            config_csv.short_hash(row.config),
            module,
            instances,
            luts=luts,
            lutrams=0.0,
            ffs=5.0,
            brams=0.5,
            dsps=0.0,
        )
        for module, instances, luts in (("npu", 1, row.luts - 10), ("npu_ram", 3, 10.0))
    ]
    return Measurement(row, tuple(modules))


def measure(config: NpuConfig) -> Measurement:
    return measurement(fake(config))


def measure_all_but_one_pixel(config: NpuConfig) -> Measurement:
    """Fail for NPUs of one pixel lane."""
    if config.pixels == 1:
        raise YosysError("out of gates\nand more")
    return measure(config)


def measure_other_luts(config: NpuConfig) -> Measurement:
    return measurement(dataclasses.replace(fake(config), luts=5.0))


def test_rows_survive_the_round_trip(tmp_path: Path) -> None:
    rows = [fake(CONFIGS[0]), dataclasses.replace(fake(CONFIGS[2]), luts=3.0, seconds=1.5)]
    dataset.write(tmp_path / "data.csv", rows)
    again = dataset.read(tmp_path / "data.csv")
    assert again == [rows[1], dataclasses.replace(rows[0], seconds=2.0)]


def test_sparsity_is_a_last_column_that_only_sparse_npus_bring(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    dense, sparse = (
        fake(NpuConfig()),
        dataclasses.replace(fake(NpuConfig(sparsity="2:4")), luts=9.0),
    )
    dataset.write(path, [dense])
    without = path.read_text()
    assert "sparsity" not in without
    dataset.write(path, [dense, sparse])
    head, *lines = path.read_text().splitlines()
    assert head == without.splitlines()[0] + ",sparsity"
    assert [line.split(",")[-1] for line in lines] == ["2:4", "dense"]
    assert [row.config.sparsity for row in dataset.read(path)] == ["2:4", "dense"]
    dataset.write(path, [dense])
    assert path.read_text() == without


def test_measuring_skips_what_is_known_and_survives_failures(tmp_path: Path) -> None:
    path, said = tmp_path / "data.csv", []
    failures = characterize.characterize(
        CONFIGS, path, 3, 1, said.append, measure_all_but_one_pixel
    )
    assert failures == [(CONFIGS[1], "out of gates\nand more")]
    assert {row.config.hash for row in dataset.read(path)} == {c.hash for c in CONFIGS[::2]}
    assert characterize.SynthesisStore(path).failures == {
        CONFIGS[1].hash: "out of gates | and more"
    }
    before = path.read_bytes()
    characterize.characterize(CONFIGS, path, 3, 1, said.append, measure)
    assert "2 of 3 are known, 0 to do" in said
    assert path.read_bytes() == before
    characterize.characterize(CONFIGS, path, 3, 1, said.append, measure, retry=True)
    assert len(dataset.read(path)) == 3
    assert characterize.SynthesisStore(path).failures == {}
    modules = module_data.read(module_data.beside(path))
    assert len(modules) == 6
    assert sum(module.luts for module in modules) == sum(row.luts for row in dataset.read(path))


def test_a_full_disk_in_mid_append_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.csv"
    characterize.characterize(CONFIGS[:1], path, 1, 1, lambda text: None, measure)
    before = path.read_bytes()
    monkeypatch.setattr(config_csv, "atomic_file", half_written)
    with pytest.raises(OSError, match="No space left"):
        characterize.characterize(CONFIGS, path, 3, 1, lambda text: None, measure)
    monkeypatch.undo()
    assert path.read_bytes() == before
    # The modules of the row that was not written are there, and do no harm.
    characterize.characterize(CONFIGS, path, 3, 1, lambda text: None, measure)
    assert len(dataset.read(path)) == 3


@contextlib.contextmanager
def half_written(path: Path) -> Iterator[IO[bytes]]:
    """Write a few bytes, then run out of disk space."""
    with writing.atomic_file(path) as file:
        file.write(b"pixels,")
        raise OSError(errno.ENOSPC, "No space left on device")
        yield file


def test_results_of_one_configuration_that_differ_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    dataset.write(path, [fake(CONFIGS[0])])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1].replace("2000", "2001"), ""]))
    with pytest.raises(UserError, match=r"csv:3: .* in the file twice, with luts 2000 and 2001"):
        dataset.read(path)


def test_tool_versions_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = [
        fake(CONFIGS[0]),
        fake(CONFIGS[2]),
        dataclasses.replace(fake(CONFIGS[0]), tool="fake 2", luts=3000.0),
    ]
    dataset.write(path, rows)
    again = dataset.read(path)
    assert len(again) == 3
    assert {row.tool for row in config_csv.of_one_tool(again)} == {"fake 1"}
    assert len(config_csv.of_one_tool(again)) == 2
    assert config_csv.of_one_tool([]) == []


def test_refreshing_with_rows_of_two_tools_measures_each_configuration_once(
    tmp_path: Path,
) -> None:
    path, said = tmp_path / "data.csv", []
    today = measuring.rtl_hash(emit.verilog(CONFIGS[0]))
    old = dataclasses.replace(fake(CONFIGS[0]), tool="fake 0")
    dataset.write(path, [old, fake(CONFIGS[0])])
    characterize.characterize([], path, 2, 1, said.append, measure, refresh=True)
    assert "1 of 2 were measured with other Verilog than today's" in said
    current = dataclasses.replace(fake(CONFIGS[0]), rtl_hash=today, luts=7.0)
    dataset.write(path, [dataclasses.replace(old, rtl_hash=today), current])
    characterize.characterize([], path, 2, 1, said.append, measure, refresh=True)
    assert "0 of 2 were measured with other Verilog than today's" in said
    assert len(dataset.read(path)) == 2


def test_a_bad_failures_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    store = characterize.SynthesisStore(path)
    store.failures_path.write_text("abc,why\nabc\n")
    with pytest.raises(UserError, match=r"failures\.csv:2: must be a configuration's hash"):
        characterize.SynthesisStore(path)
    store.failures_path.write_text(200_000 * "a")
    with pytest.raises(UserError, match=r"failures\.csv:1: is not CSV: field larger"):
        characterize.SynthesisStore(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config_hash,module\n", r"csv:1: the columns must be config_hash, module, instances"),
        ("0\n", r"csv:2: 1 cells, not 8"),
        ("a,npu,1,x,0,0,0,0\n", r"csv:2: not a number"),
        ("a,npu,1,nan,0,0,0,0\n", r"csv:2: counts must be finite"),
        ("a,npu,0,1,0,0,0,0\n", r"csv:2: .*instances >= 1"),
        (200_000 * "a", r"csv:2: is not CSV: field larger than field limit"),
    ],
)
def test_a_bad_module_file_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "modules.csv"
    head = "" if text.startswith("config_hash") else ",".join(module_data.COLUMNS) + "\n"
    path.write_text(head + text)
    with pytest.raises(UserError, match=message):
        module_data.read(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pixels,", "pixel,", r"csv:1: wrong columns: missing pixels; 1 unknown"),
        (
            "pixels,lanes",
            "lanes,pixels",
            r"csv:1: wrong columns: the order must be pixels, ",
        ),
        ("2000", "many", r"csv:2: not a number: .*many"),
        ("2000", "nan", r"csv:2: numbers must be finite"),
        ("2000", "2.5", r"csv:2: luts cannot be 2.5: .* in another unit"),
        ("2000", "-2000", r"csv:2: numbers must be finite and >= 0"),
        ("lut,", "lit,", r"csv:2: npu.multiplier must be one of lut, dsp, dsp2, dsp4, not 'lit'"),
        ("fake 1,", "", r"csv:2: 22 cells, not 24"),
        ("fake 1,", 200_000 * "a", r"csv:2: is not CSV: field larger than field limit"),
        ("512,lut", "256,lut", r"csv:2: config_hash is not that of the configuration"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "data.csv"
    dataset.write(path, [fake(CONFIGS[0])])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1).replace(",2026-01-01" if new == "" else "\0", ""))
    with pytest.raises(UserError, match=message):
        dataset.read(path)


def test_a_configuration_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    dataset.write(path, [fake(CONFIGS[0])])
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(UserError, match=r"csv:3: this configuration is in the file twice"):
        dataset.read(path)


def test_samples_differ_repeat_and_spread_over_the_sizes() -> None:
    configs = sampling.sample(60, 30000.0, seed=1)
    assert configs == sampling.sample(60, 30000.0, seed=1)
    assert configs != sampling.sample(60, 30000.0, seed=2)
    assert len({config.hash for config in configs}) == 60
    luts = analytic(ConfigTable.of(configs), "luts")
    assert luts.max() <= 30000
    quarters = np.histogram(np.log(luts), bins=4)[0]
    assert quarters.min() >= 9
    for knob in ("pixels", "lanes", "weight_digit_bits", "activation_bits", "multiplier"):
        assert len({getattr(config, knob) for config in configs}) > 1, knob


def test_refresh_measures_again_what_the_generator_writes_differently(tmp_path: Path) -> None:
    path, said = tmp_path / "data.csv", []
    current = measuring.rtl_hash(emit.verilog(CONFIGS[2]))
    same = dataclasses.replace(fake(CONFIGS[2]), rtl_hash=current, luts=7.0)
    dataset.write(path, [fake(CONFIGS[0]), same])
    assert characterize.characterize(CONFIGS, path, 2, 1, said.append, measure) == []
    assert [row.luts for row in dataset.read(path)] == [7.0, 2000.0]
    characterize.characterize([], path, 2, 1, said.append, measure_other_luts, refresh=True)
    assert "1 of 2 were measured with other Verilog than today's" in said
    assert {row.config.hash: row.luts for row in dataset.read(path)} == {
        CONFIGS[0].hash: 5.0,
        CONFIGS[2].hash: 7.0,
    }
