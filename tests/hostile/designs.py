"""Hostile design files, spaces and options: too many, too deep, too large, too private."""

from __future__ import annotations

import os
from pathlib import Path

from tests.codesign import small_build
from tests.hostile.cases import CASES, ESCAPES, case

SECRET = "root:$6$secret-hash:19000:0:99999:7::: # private\nsecond line of secrets\n"


def _text(name: str, text: str, *verb: str) -> None:
    """A case of one text file, which is the last argument of a command."""

    def make(folder: Path, build: Path) -> list[str]:
        (folder / "design.yaml").write_text(text)
        return [*(verb or ("estimate",)), str(folder / "design.yaml")]

    CASES[name] = make


def _design(name: str, old: str, new: str) -> None:
    """A case of the small design with some of its text replaced."""
    assert old in small_build.DESIGN, old
    _text(name, small_build.DESIGN.replace(old, new))


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
CONCATS = "".join(
    f"- {{name: c{n}, op: concat, inputs: [{before}, {before}b]}}\n"
    f"- {{name: c{n}b, op: relu, inputs: [c{n}]}}\n"
    for n, before in ((n, f"c{n - 1}" if n else "conv1") for n in range(40))
)
_CONV = "- {name: conv1, op: conv2d, out_channels: 4, kernel: 3, padding: 1, relu: true}\n"
_text("x8_nested_aliases", LAUGHS)
_text("x8_list_of_many", f"a: [{'1,' * 300_000}1]")
_text("x8_long_scalar", f"name: {'x' * (2 << 20)}")
_design("x8_long_name", "name: small", f"name: {'x' * 200_000}")
_design("x8_long_choice", "multiplier: lut", f"multiplier: {'x' * 200_000}")
_design("x8_long_key", "clock_mhz", "x" * 100_000)
_design("x8_long_cycle", _CONV, "".join(
    f"- {{name: {'x' * 900}{n}, op: relu, inputs: [{'x' * 900}{(n + 1) % 500}]}}\n"
    for n in range(500)
))  # fmt: skip
_text("x8_merge_of_aliases", "a: &a {b: 1}\n" + "c: {<<: [" + "*a, " * 200_000 + "*a]}")
_design("x8_doubling_concats", _CONV, f"{_CONV}- {{name: conv1b, op: relu}}\n{CONCATS}")
_design("x8_many_layers", _CONV, _CONV + "".join(
    f"- {{name: r{n}, op: relu}}\n" for n in range(5000)
))  # fmt: skip
_design("x11_large_shape", "[1, 6, 6]", "[1, 100000, 100000]")
_design("x11_channels", "out_channels: 4", f"out_channels: {1 << 59}")
_design("x11_too_many_channels", "out_channels: 4", f"out_channels: {1 << 62}")
_design("x11_kernel", "kernel: 3, padding: 1", "kernel: 60000, padding: 30000")
_design("x11_kernel_within_other_limits", "kernel: 3, padding: 1", "kernel: 4095, padding: 2047")
_design("x11_padding", "padding: 1", f"padding: {10**17}")
_text("x11_deep_lists", "[" * 50_000)
_text("x11_deep_mappings", "".join(f"{' ' * n}a:\n" for n in range(300)))
_text("x11_bad_integer_tag", "name: !!int abc")
_text("x11_bad_float_tag", "name: !!float abc")
_text("x11_bad_null_tag", "seed: !!bool perhaps")
_text("x11_many_digits", f"seed: {'9' * 5000}")
_text("x11_base_sixty", f"seed: {':'.join(['59'] * 30)}")
_text("x11_infinite_seed", "seed: 1e999")
_text("x11_surrogate", '"\\ud800": 1')
_text("x11_config_with_other_types", "lut_budget: [1]", "explore", "--config")
_text("x11_space_of_nothing", "[]", "explore", "--lut-budget", "9000", "--space")
_text("x17_private_text", SECRET)
_text("x17_private_list", SECRET.replace(":", ";"))
_text("x17_private_as_value", f"name: small\ndataset: '{SECRET}'\nnetwork: []\n")
_design("x19_escapes_in_a_key", "name: small", f'name: small\n"{ascii(ESCAPES)[1:-1]}": 1')
_design("x19_escapes_in_a_name", "name: small", f'name: "{ascii(ESCAPES)[1:-1]}"')
_design("x19_escapes_in_a_layer", "name: conv2,", f'name: "{ascii(ESCAPES)[1:-1]}",')


@case
def x10_zero_as_design(folder: Path, build: Path) -> list[str]:
    (folder / "design.yaml").symlink_to("/dev/zero")
    return ["estimate", str(folder / "design.yaml")]


@case
def x10_pipe_as_design(folder: Path, build: Path) -> list[str]:
    os.mkfifo(folder / "design.yaml")
    return ["estimate", str(folder / "design.yaml")]


@case
def x10_folder_as_design(folder: Path, build: Path) -> list[str]:
    (folder / "design.yaml").mkdir()
    return ["estimate", str(folder / "design.yaml")]
