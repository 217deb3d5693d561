"""The device list has the numbers of the real parts, and is read strictly."""

from __future__ import annotations

import pytest

from codesign.fpga import devices
from codesign.results import UserError
from models.errors import YamlError

GOOD = """\
part1:
  vendor: AMD
  family: xc7
  part: xc7s15cpga196-1
  luts: 8000
  ffs: 16000
  brams: 10.5
  dsps: 20
  clock_mhz: 100
"""


def test_shipped_parts_have_the_resources_of_the_data_sheets():
    parts = devices.all_devices()
    assert len(parts) >= 6
    assert {device.family for device in parts.values()} == {"xc7", "ecp5"}
    assert devices.DEFAULT in parts
    for device in parts.values():
        # A 7-series slice has four LUTs and eight flip-flops, an ECP5 slice two of each.
        assert device.ffs == device.luts * (2 if device.family == "xc7" else 1)
        assert device.luts % 4 == 0
        assert device.brams * 2 == int(device.brams * 2)
        assert device.part.lower().startswith(device.name)
    zynq = devices.get("XC7Z020")
    assert (zynq.luts, zynq.ffs, zynq.brams, zynq.dsps) == (53200, 106400, 140, 220)
    assert zynq.budget().luts == 53200


def test_the_clock_of_a_family_with_a_timing_model_is_estimated():
    for device in devices.all_devices().values():
        assert (device.budget().clock_mhz is None) == (device.family == "ecp5")


def test_an_unknown_part_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"no device 'xc7a36t'.*xc7a35t"):
        devices.get("xc7a36t")


@pytest.mark.parametrize(
    "text, message",
    [
        (GOOD.replace("luts:", "lutz:"), r"dev.yaml:5: .*lutz.*did you mean .luts"),
        (GOOD.replace("family: xc7", "family: xc8"), r"dev.yaml:3: .*xc8"),
        (GOOD.replace("  ffs: 16000\n", ""), r"missing key ffs"),
        (GOOD + "  dsps: 20\n", r"dev.yaml:10"),
        (GOOD.replace("8000", "-1"), r"dev.yaml:5: .*luts"),
        (GOOD.replace("8000", "many"), r"dev.yaml:5: .*integer"),
        (GOOD.replace("clock_mhz: 100", "clock_mhz: estimated"), r"dev.yaml:9: .*number"),
    ],
)
def test_mistakes_in_a_device_file_are_named_with_their_line(tmp_path, text, message):
    path = tmp_path / "dev.yaml"
    path.write_text(GOOD)
    assert devices.read(path)["part1"].brams == 10.5
    path.write_text(text)
    with pytest.raises(YamlError, match=message):
        devices.read(path)
