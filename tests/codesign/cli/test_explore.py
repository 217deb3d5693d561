"""``codesign explore``: what it asks the search for, and what it says about the result."""

from __future__ import annotations

import json
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import pytest

from codesign import explore
from codesign.cli import main
from codesign.explore import ExploreResult, ExploreSettings
from codesign.explore import run as exploring
from codesign.explore.finish import FinishedDesign
from codesign.explore.telling.summary import empty_summary
from codesign.fpga import devices
from codesign.prediction import DesignEstimate
from codesign.report import Candidate
from codesign.results import Figures, Infeasible, InfeasibleError
from models.tasks.scores import Share
from rtl_gen.config import NpuConfig

CANDIDATES = (
    Candidate("net-a", 0.991, 1200, 28500, on_front=True),
    Candidate("net-b", 0.982, 5400, 21000, trained_fully=True, on_front=True, chosen=True),
    Candidate("net-c", 0.900, 1000, 29000),
)
PLAN = SimpleNamespace(
    utilisation=0.625, schedule=SimpleNamespace(config=NpuConfig(pixels=4, lanes=8, columns=16))
)


def result(tmp_path, problem: str | None = None) -> ExploreResult:
    """A finished search without the hours."""
    finished = FinishedDesign(
        problem=None,
        build=tmp_path / "build" / "net-b",
        estimate=DesignEstimate(
            Figures(luts=20500, cycles_per_image=18500), {"luts": (19000, 22000)}, plan=PLAN
        ),
        accuracy={"validation": 0.982, "test": 0.978},
        synthesised=SimpleNamespace(figures=Figures(luts=21000, dsps=0)),
        verification=SimpleNamespace(
            figures=Figures(cycles_per_image=18500), bit_exact=True, images=64
        ),
        failure=problem,
    )
    summary = {
        "report": "build/net-b/report.html",
        "seed": 3,
        "layers": [],
        "scores": {"test": Share.of(176, 180).to_dict()},
        "notes": ["values 0..16 become input levels 0..255"],
        "search": {"evaluations": 12288, "feasible_share": 0.0, "sampled": 1024,
                   "feasible_share_interval": [0.0, 0.004],
                   "space_size": 3 * 10**15},
    }  # fmt: skip
    return ExploreResult(finished.status, problem, CANDIDATES, finished, summary)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Settings that the search was called with; it returns a good result at once."""
    calls: list[ExploreSettings] = []

    def fake(settings: ExploreSettings, progress, warn, tell) -> ExploreResult:
        progress("search", 1, 10, "a note")
        calls.append(settings)
        return result(tmp_path)

    monkeypatch.setattr(explore, "explore", fake)
    return calls


def test_options_reach_the_search(asked, tmp_path):
    argv = "explore --lut-budget 20000 --bram-budget 30 --device xc7a35t --clock-mhz 80 --seed 3"
    argv += " --min-throughput 500 --max-latency-us 900 --dataset mnist --data-dir d --jobs 1"
    argv += " --time-limit 2 --networks 5 --epochs 9 --images 16 --strategy random --resume"
    argv += " --finish 2 --prefer knee --min-accuracy 97.5"
    argv += " --boo 2 --boo-within 0.5 --area-confidence 0.7 --space digits --area-model m.json"
    argv += " --objective brams --objective latency --max-bit-operations 1e6 --max-lut-us 9e5"
    assert main([*argv.split(), "--out", str(tmp_path / "out")]) == 0
    (settings,) = asked
    budget = settings.budget
    assert settings.goals == ("throughput", "luts", "brams", "latency")
    assert (budget.max_bit_operations, budget.max_lut_us) == (1e6, 9e5)
    assert (budget.luts, budget.brams, budget.dsps, budget.clock_mhz) == (20000, 30, 0, 80)
    assert (budget.min_throughput, budget.max_latency_us) == (500, 900)
    assert settings.device.name == "xc7a35t"
    assert (settings.dataset, str(settings.data_dir)) == ("mnist", "d")
    assert (settings.seed, settings.jobs, settings.networks, settings.epochs) == (3, 1, 5, 9)
    assert (settings.images, settings.strategy, settings.resume) == (16, "random", True)
    assert (settings.finish, settings.prefer, settings.min_accuracy) == (2, "knee", 0.975)
    assert settings.time_limit_s == 120
    assert (settings.boo, settings.boo_within, settings.area_confidence) == (2, 0.005, 0.7)
    assert (settings.space, str(settings.area_model)) == ("digits", "m.json")
    assert settings.out == tmp_path / "out"


def test_clocks_of_an_ecp5_are_estimated_unless_one_is_given(asked, tmp_path):
    argv = ["explore", "--device", "lfe5u-25f", "--out", str(tmp_path / "out")]
    assert main(argv) == main([*argv, "--clock-mhz", "60"]) == 0
    estimated, given = asked
    assert (estimated.budget.clock_mhz, given.budget.clock_mhz) == (None, 60)
    assert [any("estimated to reach" in note for note in one.notes) for one in asked] == [
        True,
        False,
    ]


def test_it_ends_with_front_choice_folder_and_the_three_sources(asked, tmp_path, capsys):
    assert main(["explore", "--lut-budget", "30000"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["net-a", "net-b"]
    assert "net-c" not in out
    assert lines[3].endswith("<- chosen")
    assert [("full" in line, "short" in line) for line in lines[2:4]] == [
        (False, True), (True, False),
    ]  # fmt: skip
    assert (
        "searched:      12,288 of 3.0e+15 designs; at most 1 in 250 of the space (95 %) is within "
        "the budget"
    ) in lines
    assert f"build folder:  {tmp_path / 'build' / 'net-b'}" in lines
    assert "simulation:    64 images, bit-exact" in lines
    array = next(line for line in lines if line.startswith("array:"))
    assert "512 products per cycle, 62.5 % utilisation over a whole image" in array
    assert array.endswith("41.0 LUTs per product")
    row = next(line for line in lines if line.startswith("LUTs")).split()
    assert row == ["LUTs", "20,500", "(19,000–22,000)", "—", "21,000", "-2.4", "%"]
    row = next(line for line in lines if line.startswith("cycles")).split()
    assert row[-4:] == ["18,500", "18,500", "—", "exact"]


def test_a_search_file_may_resume(asked, tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text("lut_budget: 9000\nresume: true\n")
    assert main(["explore", "--config", str(path)]) == 0
    assert main(["explore", "--lut-budget", "9000"]) == 0
    assert [settings.resume for settings in asked] == [True, False]


def test_the_old_names_of_options_work_and_do_not_show(asked, tmp_path, capsys):
    """--guard and --optimiser of older releases, on the command line and in a search file."""
    argv = "explore --lut-budget 9000 --guard 0.7 --optimiser random"
    assert main(argv.split()) == 0
    path = tmp_path / "search.yaml"
    path.write_text("lut_budget: 9000\nguard: 0.7\noptimiser: random\n")
    assert main(["explore", "--config", str(path)]) == 0
    assert main(["explore", "--config", str(path), "--area-confidence", "0.8"]) == 0
    found = [(settings.area_confidence, settings.strategy) for settings in asked]
    assert found == [(0.7, "random"), (0.7, "random"), (0.8, "random")]
    assert main(["explore", "--lut-budget", "9000", "--guard", "0.3"]) == 2
    assert "--area-confidence must be 0.5..0.99, not 0.3" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["explore", "--help"])
    shown = capsys.readouterr().out
    assert "--area-confidence" in shown
    assert "--strategy" in shown
    assert "guard" not in shown
    assert "optimiser" not in shown


def test_a_search_of_release_0_1_is_resumed(monkeypatch, tmp_path, capsys):
    """Its explore.json has the old format and names, and keeps them."""
    seen: list[dict[str, object]] = []

    def search(settings: ExploreSettings, *rest: object) -> ExploreResult:
        seen.extend(one for one in rest if isinstance(one, dict))
        return result(tmp_path)

    monkeypatch.setattr(exploring, "_search_and_finish", search)
    monkeypatch.setattr(exploring.model_file, "load", lambda: None)
    out = tmp_path / "out"
    command = ["explore", "--lut-budget", "9000", "--out", str(out)]
    assert main([*command, "--area-confidence", "0.7"]) == 0
    old = json.loads((out / "explore.json").read_text())
    old |= {"format": "codesign explore 1", "guard": old.pop("area_confidence")}
    (out / "explore.json").write_text(json.dumps(old))
    for flag in ("--area-confidence", "--guard"):
        assert main([*command, "--resume", flag, "0.7"]) == 0
    assert seen[1:] == [old, old]
    assert json.loads((out / "explore.json").read_text()) == old
    capsys.readouterr()
    assert main([*command, "--resume"]) == 2
    assert "holds a search with other area_confidence" in capsys.readouterr().err


def test_json_is_the_summary(asked, capsys):
    assert main(["explore", "--lut-budget", "30000", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["seed"] == 3
    assert set(json.loads(out)["accuracy"]["test"]) == {"share", "images", "low", "high"}
    assert err == "codesign: search: started\n"


def test_a_missed_budget_is_status_1_and_said(monkeypatch, tmp_path, capsys):
    missed = result(tmp_path, "the budget is missed after synthesis: 31,000 LUTs")
    missed.finished.build, missed.summary["report"] = None, None
    monkeypatch.setattr(explore, "explore", lambda settings, progress, warn, tell: missed)
    assert main(["explore", "--lut-budget", "30000", "--out", "runs/x"]) == 1
    out, err = capsys.readouterr()
    assert "missed after synthesis: 31,000 LUTs" in err
    assert out.splitlines()[-1] == "summary: runs/x/summary.json"


def test_nothing_feasible_is_status_3_with_reasons(monkeypatch, capsys):
    reason = Infeasible("luts", "budget", 900, 50, "LUTs", ("raise --lut-budget",))

    def refuse(settings: ExploreSettings, progress, warn, tell) -> ExploreResult:
        raise InfeasibleError((reason,))

    monkeypatch.setattr(explore, "explore", refuse)
    assert main(["explore", "--lut-budget", "50", "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["reasons"][0]["levers"] == ["raise --lut-budget"]
    assert "needs 900 LUTs, has 50; raise --lut-budget" in err


def test_ctrl_c_names_the_resume_command(monkeypatch, capsys):
    def interrupt(settings: ExploreSettings, progress, warn, tell) -> ExploreResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(explore, "explore", interrupt)
    assert main(["explore", "--lut-budget", "30000", "--out", "runs/a b"]) == 130
    expected = "resume with: codesign explore --lut-budget 30000 --out 'runs/a b' --resume"
    assert expected in capsys.readouterr().err


def test_a_killed_worker_is_named_and_resumable(monkeypatch, capsys):
    def broken(settings: ExploreSettings, progress, warn, tell) -> ExploreResult:
        raise BrokenProcessPool("a child died")

    monkeypatch.setattr(explore, "explore", broken)
    assert main(["explore", "--lut-budget", "30000", "--out", "runs/x"]) == 1
    error = capsys.readouterr().err
    assert "worker process was killed" in error
    assert "codesign explore --lut-budget 30000 --out runs/x --resume" in error


def test_a_budget_beyond_the_part_is_cut_and_that_is_said(asked, capsys):
    argv = "explore --lut-budget 99999 --dsp-budget 5 --device xc7s15"
    assert main(argv.split()) == 0
    (settings,) = asked
    assert settings.budget.luts == 8000
    assert settings.notes == ("xc7s15 holds 8,000 LUTs, so the budget of 99,999 is cut to that",)
    assert settings.notes[0] in capsys.readouterr().err
    assert settings.notes[0] in empty_summary(settings, 0.0)["notes"]


def test_a_part_that_nobody_chose_is_noted(asked):
    assert main(["explore", "--lut-budget", "9000"]) == 0
    assert main(["explore", "--lut-budget", "9000", "--device", "xc7s15"]) == 0
    assert [devices.ASSUMED in empty_summary(one, 0.0)["notes"] for one in asked] == [True, False]


@pytest.mark.parametrize("task", ["numbers", "pixels", "reconstruction"])
def test_a_task_that_is_not_searched_for_is_refused_before_data_is_read(task, tmp_path, capsys):
    out = tmp_path / "run"
    absent = str(tmp_path / "absent.npz")
    assert main(["explore", "--lut-budget", "1", "--dataset", absent, "--task", task,
                 "--out", str(out)]) == 2  # fmt: skip
    said = capsys.readouterr().err
    assert f"codesign build NETWORK --task {task}" in said
    assert "no such file" not in said
    assert not out.exists()
