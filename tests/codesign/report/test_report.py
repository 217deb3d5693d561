"""The HTML report is complete and self-contained, and a browser reads and draws it.

The browser tests need Chromium on PATH; CODESIGN_REQUIRE_BROWSER=1 makes its absence a failure.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from codesign.report import Candidate, LayerRow, ReportData, charts, render, write
from codesign.report.charts import _steps, front
from codesign.report.svg import compact, log_ticks, ticks
from codesign.results import Budget, Figures
from models.training.history import Epoch
from rtl_gen.config import NpuConfig

NPU = NpuConfig(pixels=4, lanes=8, columns=16)
LAYERS = (
    LayerRow("load", op="load", output="1 x 8 x 8", cycles=70, simulated_cycles=70),
    LayerRow("conv1", op="conv2d", output="16 x 8 x 8", cycles=700, simulated_cycles=700,
             macs=9216, accumulations=1024, weight_bits=4, passes=2),
    LayerRow("conv2", op="conv2d", output="32 x 4 x 4", cycles=3200, simulated_cycles=3200,
             macs=294912, accumulations=2048, weight_bits=4, passes=2),
    LayerRow("logits", op="linear", output="10", cycles=330, simulated_cycles=330,
             macs=5120, accumulations=10, weight_bits=8, passes=4),
    LayerRow("emit", op="emit", output="10", cycles=20, simulated_cycles=20),
)  # fmt: skip
FULL = ReportData(
    name="digits <30k & more",
    npu=NPU,
    clock_mhz=100.0,
    layers=LAYERS,
    estimate=Figures(luts=24100, ffs=12000, brams=6, dsps=0, cycles_per_image=4320),
    simulated=Figures(cycles_per_image=4320, images_per_second=23148),
    synthesised=Figures(luts=25000, lutrams=96, ffs=11800, brams=6, dsps=0),
    intervals={"luts": (23000.0, 26000.0)},
    notes=("150 MHz will hardly hold <here>",),
    budget=Budget(luts=30000),
    device="xc7a50t",
    capacity={"luts": 32600, "ffs": 65200, "brams": 75, "dsps": 120},
    accuracy_validation=0.981,
    accuracy_test=0.9778,
    verified_images=64,
    bit_exact=True,
    candidates=tuple(
        Candidate(
            f"trial {i}",
            accuracy=0.90 + 0.01 * (i % 9),
            images_per_second=2000 * 1.4**i,
            luts=9000 + 2100 * i,
            trained_fully=i % 4 == 0,
            on_front=i % 2 == 0,
            chosen=i == 4,
        )
        for i in range(10)
    ),
    curves={
        "full": (
            Epoch(2.1, 0.4, False, 0.35),
            Epoch(0.9, 0.9, True, 0.7),
            Epoch(0.5, 0.981, True, 0.95),
            Epoch(0.4, 0.975, True, 0.97),
        ),
        "short": (Epoch(2.0, 0.5, False), Epoch(1.0, 0.8, True)),  # from an older journal
    },
    network_svg='<svg width="200" height="40"><text y="20">net</text></svg>',
    facts=(("Data set", "digits"), ("Seed", "0"), ("Yosys", "0.70")),
)


def test_every_part_is_on_the_page():
    page = render(FULL)
    for part in (
        "Pareto front",
        "Learning curve, full training",
        "Learning curve, short training",
        "Resources",
        "Roofline",
        "Cycles and MAC",
        "Layers",
        "NPU",
        "Network",
    ):
        assert f"<h2>{part}" in page
    assert '<p class="note">150 MHz will hardly hold &lt;here&gt;.</p>' in page
    assert "bit-exact on 64 images" in page
    assert "chosen: 17.4k LUTs" in page
    assert [page.count(f'"dot {kind}"') for kind in ("chosen", "other short")] == [1, 5]
    assert "within 30,000 LUTs" in page
    assert "-3.6 %" in page  # the estimate's error: 24100 / 25000 - 1
    assert "digits &lt;30k &amp; more" in page
    assert "<dd>0.70</dd>" in page


def test_the_page_asks_the_network_for_nothing():
    page = render(FULL)
    assert not re.findall(r"(?:src|href)\s*=|url\((?!#)|@import|<script", page)
    links = set(re.findall(r"https?://[^\"' <]+", page))
    assert links <= {"http://www.w3.org/2000/svg"}


def test_mismatches_and_a_missed_budget_are_shown():
    bad = dataclasses.replace(
        FULL,
        bit_exact=False,
        mismatch="conv2, channel 3",
        synthesised=Figures(luts=31000),
        layers=(*LAYERS[:2], dataclasses.replace(LAYERS[2], simulated_cycles=3201)),
    )
    page = render(bad)
    assert "simulation differs: conv2, channel 3" in page
    assert "simulated cycles differ" in page
    assert "over 30,000 LUTs after synthesis" in page
    assert 'class="over"' in page


def test_parts_without_data_are_left_out():
    page = render(ReportData(name="bare", npu=NPU, clock_mhz=50))
    assert "not verified yet" in page
    assert "<h2>NPU" in page
    for part in ("Pareto front", "Resources", "Roofline", "Layers", "Network"):
        assert f"<h2>{part}" not in page


def test_utilisation_counts_weight_passes():
    # 294,912 MACs in 2 passes on 512 products a cycle: 1152 cycles of work.
    assert LAYERS[2].utilisation(NPU) == pytest.approx(1152 / 3200)
    assert LAYERS[0].utilisation(NPU) == 0


def test_writing_replaces_the_whole_file(tmp_path):
    path = write(FULL, tmp_path / "deep" / "report.html")
    assert path.read_text().startswith("<!doctype html>")
    write(dataclasses.replace(FULL, name="second"), path)
    assert "<h1>second</h1>" in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_the_front_line_is_a_staircase_of_the_unbeaten():
    points = [(100, 0.9), (200, 0.95), (300, 0.8), (250, 0.7), (50, 0.95)]
    candidates = [
        Candidate("", accuracy=score, images_per_second=rate, luts=1) for rate, score in points
    ]
    assert _steps(candidates) == [(300, 0.8), (200, 0.8), (200, 0.95)]


def test_accuracies_of_short_and_of_full_trainings_are_apart():
    drawn = front(FULL.candidates)
    kinds = ("other short", "front short", "front", "chosen")
    assert [drawn.count(f'class="dot {kind}"') for kind in kinds] == [5, 2, 2, 1]
    assert "trial 2: 92.00 % (short training)" in drawn
    assert "trial 8: 98.00 % (full training)" in drawn
    lines = re.findall(r'points="([^"]*)" class="frontline( short)?"', drawn)
    assert [kind for _, kind in lines] == [" short", ""]
    dots = {
        kind: set(re.findall(rf'cx="([^"]*)" cy="([^"]*)" r="[^"]*" class="dot {kind}"', drawn))
        for kind in ("front", "front short", "other short")
    }
    corners = {tuple(corner.split(",")) for corner in lines[1][0].split()}
    assert not corners & (dots["front short"] | dots["other short"])


def test_numbers_and_ticks_are_formatted_for_people():
    assert [compact(v) for v in (0.5, 5267.7, 29870, 1234567)] == ["0.5", "5,268", "29.9k", "1.23M"]
    large = (9999.4, 9999.6, 999_499, 999_500, -999_500, 999_500_000, 3e15)
    shown = ["9,999", "10,000", "999k", "1M", "-1M", "1G", "3,000T"]
    assert [compact(value) for value in large] == shown
    assert ticks(0.0, 1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert log_ticks(10, 100) == pytest.approx([10, 20, 50, 100])


def test_learning_curves_say_which_epoch_was_kept():
    page = render(FULL)
    grey = "Grey: before the network computes as hardware does."
    assert f"Ring: epoch 3 of 4, whose weights are kept. {grey}" in page
    assert "Ring: epoch 2 of 2" in page
    assert "epoch 3: validation 98.10 %, training 95.00 %, loss 0.5" in page
    assert page.count("curve training") == 1
    assert page.count("curve validation") == page.count("curve loss") == 2
    one = dataclasses.replace(FULL, curves={"full": (Epoch(1.0, 0.5, False),)})
    assert "Ring" not in render(one)


def test_labels_of_the_roofline_are_apart():
    layers = [dataclasses.replace(LAYERS[1], passes=passes) for passes in (1, 2, 3, 4)]
    drawn = charts.roofline(dataclasses.replace(FULL, layers=tuple(layers)))
    tops = [float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>[\d.,k]+ in \d pass', drawn)]
    assert len(tops) == 4
    assert all(low - high >= 14 for high, low in itertools.pairwise(tops))


def _chromium() -> str:
    """Return the browser's path; skip the test if there is none."""
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if found is None:
        reason = "no Chromium on PATH: apt-get install chromium"
        if os.environ.get("CODESIGN_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _browse(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open the whole report in a headless browser."""
    page = write(FULL, tmp_path / "report.html")
    command = [
        _chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_a_browser_parses_it_completely(tmp_path):
    dom = _browse(tmp_path, "--dump-dom").stdout
    assert dom.count('class="chart"') == 7
    # A browser moves what it cannot place: every drawn text must still be inside an svg.
    drawn = "".join(re.findall(r"<svg.*?</svg>", dom, re.DOTALL))
    assert drawn.count("<text") == dom.count("<text")
    assert "NaN" not in dom


def test_a_browser_draws_it(tmp_path):
    picture = tmp_path / "page.png"
    _browse(tmp_path, f"--screenshot={picture}", "--window-size=1200,2600", "--hide-scrollbars")
    from PIL import Image

    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or []}
    # Theme colours of the charts (light theme): blue bars, orange roof, green verdict.
    assert {(0x25, 0x63, 0xC9), (0xD9, 0x73, 0x0D)} <= colours
