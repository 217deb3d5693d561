"""Area model files survive the round trip, and damaged or foreign files are refused by name."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from codesign.cost.area import model_file
from codesign.cost.area.model import AreaModel, Calibration
from codesign.cost.data import dataset, module_data
from codesign.cost.table import ConfigTable
from codesign.results import UserError
from tests.codesign.cost import synthetic


@pytest.fixture(scope="module")
def model() -> AreaModel:
    fitted = AreaModel.fit(synthetic.rows(40))
    return AreaModel(fitted.learned, fitted.domain, fitted.rows, {"luts": Calibration(1.5, 0.1, 4)})


def test_a_model_survives_the_round_trip(model: AreaModel, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    model_file.write(path, model)
    again = model_file.read(path)
    table = ConfigTable.of([row.config for row in synthetic.rows(40)])
    before, after = model.estimate(table), again.estimate(table)
    for name in ("luts", "lutrams", "ffs"):
        assert (getattr(before, name) == getattr(after, name)).all()
        assert (before.high[name] == after.high[name]).all()
        assert (before.bound[name] == after.bound[name]).all()
    assert again.domain == model.domain
    assert again.flow == model.flow


def test_the_model_of_data_is_fitted_once_and_anew_when_the_data_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))
    path, calls = tmp_path / "data.csv", []
    real = AreaModel.fit
    monkeypatch.setattr(AreaModel, "fit", lambda *args: calls.append(1) or real(*args))
    dataset.write(path, synthetic.whole_rows(30))
    first, second = model_file.of_data(path), model_file.of_data(path)
    assert len(calls) == 1
    assert (first.learned["luts"].errors == second.learned["luts"].errors).all()
    dataset.write(path, synthetic.whole_rows(32))
    assert model_file.of_data(path).rows == 32
    assert len(calls) == 2


def test_modules_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    rows = synthetic.whole_rows(25)
    dataset.write(path, rows)
    modules = [
        module_data.ModuleRow(row.config.hash[:12], "npu", 1, row.luts - 1, row.lutrams, row.ffs,
                              row.brams, row.dsps)
        for row in rows
    ]  # fmt: skip
    module_data.write(module_data.beside(path), modules)
    with pytest.raises(UserError, match=r"the modules of configuration .* of different runs"):
        model_file.of_data(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "somebody else's"}, "not an area model of this version"),
        ({"columns": {}}, "its blocks are not those of this version"),
        ({"resources": {}}, "resources: missing key luts"),
        ({"domain": 3}, "domain: must be an object, not 3"),
        ({"flow": {"luts": {"factor": -1, "deviation": 0, "points": 2}}}, "out of range"),
        ({"rows": "many"}, "rows: must be an integer 1"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused(
    model: AreaModel, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**model_file.to_dict(model), **change}))
    with pytest.raises(UserError, match=message) as caught:
        model_file.read(path)
    assert str(path) in str(caught.value)


def test_numbers_that_are_none_are_refused(model: AreaModel, tmp_path: Path) -> None:
    data = model_file.to_dict(model)
    data["resources"]["luts"]["factors"][3] = float("nan")
    path = tmp_path / "model.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="not a finite number"):
        model_file.read(path)
    data["resources"]["luts"]["factors"] = [1.0]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match="damaged: luts: 1 factors"):
        model_file.read(path)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(pickle.dumps(np.arange(3)))
    with pytest.raises(UserError, match=r"not UTF-8|not JSON"):
        model_file.read(path)
    with pytest.raises(UserError, match="no such file"):
        model_file.read(tmp_path / "none.json")
