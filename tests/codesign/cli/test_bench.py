"""``codesign bench``: its JSON handle, its files, and strategies of the user's own."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.cli import main

SHORT = ["bench", "search", "--task", "enumerated", "--seeds", "2", "--evaluations", "60"]


def test_json_has_one_object_a_task_strategy_and_seed(tmp_path: Path, capsys) -> None:
    raw = tmp_path / "runs.csv"
    names = ["--strategy", "random", "--strategy", "nsga2"]
    assert main([*SHORT, *names, "--csv", str(raw), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["task"], one["strategy"], one["seed"]) for one in found] == [
        ("enumerated", "random", 0), ("enumerated", "nsga2", 0),
        ("enumerated", "random", 1), ("enumerated", "nsga2", 1),
    ]  # fmt: skip
    for one in found:
        assert one["evaluations"] == 60
        assert 0 < one["hypervolume_share"] < 1
        assert {"evaluations_to_95", "evaluations_to_99"} <= set(one)
    last = {(row["strategy"], row["seed"]): row for row in csv.DictReader(raw.open())}
    for one in found:
        share = last[one["strategy"], str(one["seed"])]["hypervolume_share"]
        assert float(share) == pytest.approx(one["hypervolume_share"], abs=1e-5)


def test_runs_of_the_csv_file_are_not_made_again(tmp_path: Path, capsys, monkeypatch) -> None:
    raw = tmp_path / "runs.csv"
    one = [*SHORT, "--strategy", "random", "--csv", str(raw)]
    assert main([*one, "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    monkeypatch.setattr("codesign.cli.verbs.bench.run_one", None)
    assert main([*one, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == before
    assert main(one) == 0
    assert "2 of the 2 runs are those of" in capsys.readouterr().out
    assert main([*one, "--batch", "20"]) == 2
    assert "name another file" in capsys.readouterr().err


def test_the_table_has_a_row_a_strategy(capsys) -> None:
    assert main([*SHORT, "--strategy", "random", "--strategy", "evolution"]) == 0
    out = capsys.readouterr().out
    assert "58,320 designs" in out
    assert "2 seeds, up to 60 evaluations" in out
    rows = [line.split()[0] for line in out.splitlines() if line.count(" % ") >= 1]
    assert {"random", "evolution"} <= set(rows)


@pytest.mark.parametrize(
    "name, said",
    [
        ("annealing", "module:Class for one of your own"),
        ("nowhere:Mine", "cannot be imported"),
        ("codesign.search.strategies:Nothing", "has no class"),
        ("codesign.search.strategies:Genes", "is not made by|has no method"),
    ],
)
def test_a_strategy_that_is_not_to_be_had_is_refused(name: str, said: str, capsys) -> None:
    assert main([*SHORT, "--strategy", name]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_strategy_of_the_current_folder_runs_and_is_held_to_the_contract(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    def __init__(self, genes, seed):\n"
        "        self.sizes, self.random = genes.sizes, np.random.default_rng(seed)\n"
        "    def ask(self, count):\n"
        "        return self.random.integers(0, self.sizes, (count, len(self.sizes)))\n"
        "    def tell(self, candidates, objectives, violation):\n"
        "        pass\n"
        "class Bad(Mine):\n"
        "    def ask(self, count):\n"
        "        return super().ask(count) + 5\n"
    )
    program = "import sys; from codesign.cli import main; sys.exit(main(sys.argv[1:]))"

    def bench(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *SHORT, "--strategy", name]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    good, bad = bench("own:Mine"), bench("own:Bad")
    assert good.returncode == 0, good.stderr
    assert "own:Mine" in good.stdout
    assert bad.returncode == 2
    assert "'own:Bad' returned values of gene" in bad.stderr


def test_a_search_file_names_no_code(tmp_path: Path, capsys) -> None:
    (tmp_path / "search.yaml").write_text("lut_budget: 8000\nstrategy: own:Mine\n")
    assert main(["explore", "--config", str(tmp_path / "search.yaml")]) == 2
    assert "search.yaml:2" in (said := capsys.readouterr().err)
    assert "give --strategy" in said
