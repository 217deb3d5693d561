"""YAML is read strictly: refusals name file, line and, for unknown keys, the nearest known one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from models.errors import YamlError
from models.files import yaml_io
from models.files.nodes import build


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0


@dataclass(frozen=True)
class Outer:
    lanes: int
    label: str = "x"
    fast: bool = False
    limit: float | None = None
    sizes: tuple[int, ...] = ()
    pair: tuple[int, int] = (1, 1)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.lanes > 64:
            raise ValueError(f"outer.lanes must be at most 64, not {self.lanes}")


GOOD = """\
lanes: 8
label: net
fast: true
limit: 1e-3
sizes: [1, 2, 3]
pair: [3, 4]
inner: {rate: 2}
"""


def test_build_fills_a_dataclass_by_its_hints():
    built = build(yaml_io.load(GOOD), Outer)
    assert built == Outer(8, "net", True, 1e-3, (1, 2, 3), (3, 4), Inner(2.0))
    assert build(yaml_io.load("lanes: 2\nlimit: null"), Outer).limit is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("lanes: 8\nlanse: 4", r"f.yaml:2: lanse: unknown key 'lanse'; did you mean 'lanes'\?"),
        ("lanes: 8\nlabel: a\nlanes: 9", r"f.yaml:3: key 'lanes' is given twice \(first: line 1\)"),
        ("label: a", "f.yaml:1: missing key lanes"),
        ("lanes: eight", "f.yaml:1: lanes: must be an integer, not 'eight'"),
        ("lanes: true", "f.yaml:1: lanes: must be an integer, not True"),
        ("lanes: 8\nlabel: 3", "f.yaml:2: label: must be text, not 3"),
        ("lanes: 8\nfast: 2", "f.yaml:2: fast: must be true or false"),
        ("lanes: 8\nlimit: .nan", "f.yaml:2: limit: must be a finite number"),
        ("lanes: 8\nlimit: abc", "f.yaml:2: limit: must be a number, not 'abc'"),
        ("lanes: 8\nsizes: 3", "f.yaml:2: sizes: must be a list, not 3"),
        ("lanes: 8\nsizes:\n- 1\n- x", r"f.yaml:4: sizes\[1\]: must be an integer"),
        ("lanes: 8\npair: [1, 2, 3]", "f.yaml:2: pair: must be a list of 2, not of 3"),
        ("lanes: 8\ninner:\n  rat: 3", "f.yaml:3: inner.rat: unknown key"),
        ("lanes: 8\ninner: [1]", "f.yaml:2: inner: must be a mapping, not a list"),
        ("label: a\nlanes: 65", "f.yaml:2: outer.lanes must be at most 64, not 65"),
        ("lanes: [1", "f.yaml:1: expected ',' or ']'"),
        ("? [a]\n: 1", "f.yaml:1: keys must be text"),
        ("", "f.yaml: is empty"),
        ("lanes: &a [*a]", "contains itself|undefined alias"),
    ],
)
def test_refusals_name_file_and_line(text, message):
    with pytest.raises(YamlError, match=message):
        build(yaml_io.load(text, "f.yaml"), Outer)


def test_a_recursive_alias_is_refused():
    with pytest.raises(YamlError, match="an alias contains itself"):
        yaml_io.load("a: &x\n  b: *x")


def test_numbers_out_of_range_and_unknown_choices_are_refused():
    node = yaml_io.load("bits: 9\nkind: avgg", "f.yaml").mapping()
    with pytest.raises(YamlError, match=r"f.yaml:1: bits: must be 1..8, not 9"):
        node["bits"].integer(1, 8)
    with pytest.raises(YamlError, match=r"must be ..8, not 9"):
        node["bits"].number(high=8)
    with pytest.raises(YamlError, match=r"f.yaml:2: kind: 'avgg' is not known; did you mean 'avg'"):
        node["kind"].choice(["avg", "max"])


def test_unreadable_files_are_refused_by_name(tmp_path):
    with pytest.raises(YamlError, match=r"none\.yaml: no such file"):
        yaml_io.load(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(YamlError, match="is not UTF-8 text"):
        yaml_io.load(binary)
    binary.write_bytes(b"a: \x01")
    with pytest.raises(YamlError, match=r"binary\.yaml"):
        yaml_io.load(binary)
    good = tmp_path / "good.yaml"
    good.write_text(GOOD)
    assert yaml_io.load(good).mapping()["fast"].line == 3


def test_what_is_dumped_reads_back():
    data = {"name": "a", "layers": [yaml_io.FlowDict(kernel=[3, 5], op="conv2d")], "x": {"y": 1}}
    text = yaml_io.dump(data)
    assert "- {kernel: [3, 5], op: conv2d}" in text
    node = yaml_io.load(text)
    assert node.mapping()["layers"].items()[0].mapping()["op"].string() == "conv2d"
