"""Bad input through the command line: status 2 (or 3), a line that says what, no traceback."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.cli.search_options import merge
from codesign.cli.verbs import estimate as estimate_verb
from tests.paths import EXAMPLE


@pytest.fixture
def refuse(capsys):
    """Runs a command that must be refused; returns its error line."""

    def run(*argv: object, status: int = 2) -> str:
        assert main([str(part) for part in argv]) == status
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert err.startswith("codesign: ")
        return err

    return run


def edited(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """The example design with some text replaced."""
    text = EXAMPLE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "design.yaml"
    path.write_text(text)
    return path


def line_of(path: Path, text: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_unknown_key_names_file_line_and_nearest_key(refuse, tmp_path):
    path = edited(tmp_path, ("  lanes: 4", "  lanez: 4"))
    error = refuse("estimate", path)
    assert f"{path}:{line_of(path, 'lanez')}" in error
    assert "did you mean 'lanes'?" in error


def test_duplicate_key_names_both_lines(refuse, tmp_path):
    path = edited(tmp_path, ("clock_mhz: 100.0", "clock_mhz: 100.0\nclock_mhz: 50.0"))
    first = line_of(path, "clock_mhz: 100.0")
    error = refuse("estimate", path)
    assert f"{path}:{first + 1}" in error
    assert f"given twice (first: line {first})" in error


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("  lanes: 4", "  lanes: 65", "npu.lanes must be 2..64, not 65"),
        ("  columns: 8", "  columns: 6", "npu.columns must be a multiple of npu.lanes (4), not 6"),
        ("activation_depth: 128", "activation_depth: 100", "must be a power of two, not 100"),
        ("weight_depth: 256", "weight_depth: 1000", "or a multiple of 512, not 1000"),
        ("weight_bits: 4", "weight_bits: 9", "weight_bits must be 1..8, not 9"),
        ("clock_mhz: 100.0", "clock_mhz: fast", "must be a number"),
        ("op: max_pool", "op: attention", "attention"),
        ("kernel: 3", "kernel: 31", "larger than its padded input"),
        ("[1, 8, 8]", "[1, 8]", "shape"),
    ],
)
def test_a_value_out_of_range_names_its_line(refuse, tmp_path, old, new, words):
    path = edited(tmp_path, (old, new))
    error = refuse("estimate", path)
    assert f"{path}:{line_of(path, new)}" in error
    assert words in error


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "name: [unclosed\n", "\x00"])
def test_a_file_that_is_no_design(refuse, tmp_path, text):
    path = tmp_path / "design.yaml"
    path.write_text(text)
    assert str(path) in refuse("estimate", path)


@pytest.mark.parametrize("verb", ["estimate", "train"])
def test_a_missing_design(refuse, tmp_path, verb):
    assert "missing.yaml" in refuse(verb, tmp_path / "missing.yaml")


def test_missing_data_is_named_before_training(refuse, tmp_path):
    path = edited(
        tmp_path,
        ("{name: digits}", "{name: mnist}"),
        ("8, 8]", "28, 28]"),
        ("activation_depth: 128", "activation_depth: 2048"),
        ("weight_depth: 256", "weight_depth: 1024"),
        ("accumulator_bits: 16", "accumulator_bits: 18"),
    )
    error = refuse("train", path, "--data-dir", tmp_path / "nowhere")
    assert "train-images-idx3-ubyte" in error
    assert "nowhere" in error
    assert not (tmp_path / "design.weights").exists()


def test_a_design_that_does_not_match_its_data(refuse, tmp_path):
    path = edited(tmp_path, ("out_features: 10", "out_features: 7"))
    assert "10 classes" in refuse("train", path)


def test_a_network_that_does_not_fit_is_infeasible_with_reasons(refuse, tmp_path, capsys):
    path = edited(tmp_path, ("weight_depth: 256", "weight_depth: 64"))
    error = refuse("estimate", path, status=3)
    assert "weight_depth" in error
    assert "has 64" in error
    assert main(["estimate", str(path), "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert answer["feasible"] is False
    assert {"resource", "where", "need", "have", "unit", "levers"} <= set(answer["reasons"][0])


def test_build_leaves_a_folder_that_holds_something_else_alone(refuse, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert "holds something else" in refuse("build", EXAMPLE, "--out", out)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


def test_build_refuses_an_unknown_device_before_training(refuse, tmp_path):
    error = refuse("build", EXAMPLE, "--out", tmp_path / "out", "--device", "xc7a35tt")
    assert "xc7a35tt" in error
    assert "did you mean" in error


@pytest.mark.parametrize("verb", ["verify", "synth", "report"])
def test_what_is_no_build_folder(refuse, tmp_path, verb):
    assert str(tmp_path) in refuse(verb, tmp_path)


def test_weights_that_are_none(refuse, tmp_path):
    wrong = tmp_path / "wrong.weights"
    wrong.write_bytes(b"not weights")
    error = refuse("build", EXAMPLE, "--out", tmp_path / "out", "--weights", wrong)
    assert "wrong.weights" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "argv, words",
    [
        (["verify", "x", "--images", "0"], "must be an integer >= 1, not '0'"),
        (["verify", "x", "--stalls", "2"], "must be a number in 0..0.9, not '2'"),
        (["train", "x", "--epochs", "many"], "must be an integer in 2..10000, not 'many'"),
        (["explode"], "invalid choice"),
        ([], "required"),
        (["build", "x", "--out", "y", "--weights", "z", "--epochs", "9"], "--weights replaces"),
        (["build", "x", "--out", "y", "--weights", "z", "--boo", "1"], "--boo applies to training"),
        (["build", "x", "--out", "y", "--weights", "z", "--teacher", "t"], "--teacher applies to"),
        (["build", "x", "--out", "y", "--weights", "z", "--start", "s"], "--start applies to"),
        (["train", "x", "--zero-blocks", "1"], "must be a number in 0..0.99, not '1'"),
        (
            ["train", "x", "--zero-blocks", "0.5", "--skip-blocks", "0.5"],
            "--skip-blocks: not allowed with argument --zero-blocks",
        ),
        (["explore", "--boo-within", "-1"], "must be a number in 0..100, not '-1'"),
        (["explore", "--boo", "many"], "must be a number in 0..1000, not 'many'"),
        (["train", "x", "--skip-digits", "1.1"], "must be a number in 0..1, not '1.1'"),
        (["train", "x", "--max-memory", "much"], "must be a number of bytes, such as 500M or 8G"),
        (["predict", "x", "y", "--max-memory", "0"], "must be a number of bytes"),
        (["explore", "--max-memory", "1.5G"], "--max-memory: must be a number of bytes"),
    ],
)
def test_options_that_make_no_sense(capsys, argv, words):
    assert main(argv) == 2
    assert words in capsys.readouterr().err
    if argv:
        assert main([*argv, "--json"]) == 2
        assert words in json.loads(capsys.readouterr().out)["error"]


def test_json_errors_are_json(capsys, tmp_path):
    assert main(["verify", str(tmp_path), "--json"]) == 2
    assert str(tmp_path) in json.loads(capsys.readouterr().out)["error"]


def search_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "search.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text, line, words",
    [
        ("lut_budget: 9000\nlut_buget: 1\n", 2, "did you mean 'lut_budget'?"),
        ("seed: 1\nseed: 2\n", 2, "key 'seed' is given twice (first: line 1)"),
        ("lut_budget: 9000\njobs: 0\n", 2, "jobs must be 1..256, not 0"),
        ("lut_budget: plenty\n", 1, "must be a number"),
        ("guard: 0.7\narea_confidence: 0.7\n", 1, "is the old name of area_confidence"),
        ("strategy: random\noptimiser: random\n", 2, "is the old name of strategy"),
        ("lut_budget: 9000\nguard: 0.3\n", 2, "area_confidence must be 0.5..0.99, not 0.3"),
    ],
)
def test_a_bad_search_file_names_the_line(refuse, tmp_path, text, line, words):
    path = search_file(tmp_path, text)
    error = refuse("explore", "--config", path, "--out", tmp_path / "out")
    assert f"{path}:{line}:" in error
    assert words in error
    assert not (tmp_path / "out").exists()


def test_the_command_line_wins_over_the_search_file(tmp_path):
    path = search_file(tmp_path, "lut_budget: 9000\nseed: 4\ndevice: xc7s15\n")
    options = merge(path, {"seed": 7, "jobs": None, "resume": True})
    assert (options.lut_budget, options.seed, options.jobs) == (9000, 7, 2)
    budget = options.budget()
    assert (budget.luts, budget.dsps, budget.brams) == (8000, 0, 10)  # the smaller one holds


@pytest.mark.parametrize(
    "argv, words",
    [
        ([], "--lut-budget N or --device NAME"),
        (["--lut-budget", "9000", "--device", "xc7a35tt"], "did you mean"),
        (["--lut-budget", "9000", "--strategy", "luck"], "strategy must be one of"),
        (["--lut-budget", "9000", "--space", "no.yaml"], "no.yaml"),
        (["--lut-budget", "9000", "--dataset", "mnist", "--data-dir", "/nowhere"], "/nowhere"),
        (["--lut-budget", "0"], "--lut-budget must be >= 1, not 0"),
    ],
)
def test_explore_refuses(refuse, tmp_path, argv, words):
    assert words in refuse("explore", "--out", tmp_path / "out", *argv)
    assert not (tmp_path / "out").exists()


def test_explore_leaves_a_folder_that_holds_something_else_alone(refuse, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    error = refuse("explore", "--lut-budget", 9000, "--out", tmp_path)
    assert "holds something else" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def raising(error: BaseException):
    def run(*args: object) -> int:
        raise error

    return run


def test_a_full_disk_is_said(refuse, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device", "/data/out")
    monkeypatch.setattr(estimate_verb, "run", raising(full))
    error = refuse("estimate", EXAMPLE)
    assert "no space left on the disk for /data/out" in error


def test_a_bug_of_ours_shows_whole(monkeypatch):
    monkeypatch.setattr(estimate_verb, "run", raising(ZeroDivisionError("ours")))
    with pytest.raises(ZeroDivisionError):
        main(["estimate", str(EXAMPLE)])


@pytest.mark.parametrize(("content", "message"), [(None, "model.json"), ("x", "not JSON")])
def test_a_bad_area_model_is_refused_before_anything_is_written(
    tmp_path: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model.json", tmp_path / "run"
    if content is not None:
        model.write_text(content)
    arguments = ["--lut-budget", "30000", "--area-model", str(model), "--out", str(out)]
    assert main(["explore", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
