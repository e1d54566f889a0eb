"""The benchmark by size: what it measures and writes; never how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.parity.benchmark import settled
from nanobrag_torch.parity.benchmark_sizes import by_size, load_of, profile, write_sizes

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "benchmark.py"
FACTS = {"device": "cpu", "threads": 1, "pairs": 1, "machine": "a processor"}


def test_sizes_are_those_of_the_image():
    panel = settled(load_of(256)).detector.panels[0]
    assert (panel.pixels_f, panel.pixels_s) == (256, 256)
    assert float(panel.pixel_size) == pytest.approx(0.4e-3)


def test_rows_and_files(tmp_path, c_program):
    rows = by_size([16, 32], "cpu", c_binary=c_program.path, threads=1, pairs=1)
    assert list(rows) == ["16", "32"]
    row = rows["32"]
    assert row["pixels"] == 1024
    assert row["float64_pixels_per_s"] == pytest.approx(1024 / row["float64_s"].median)
    assert row["c_s"].median <= max(row["c_measured_s"].median, 0.0)
    assert row["float32_ratio"].median == pytest.approx(row["c_s"].median / row["float32_s"].median)
    page = write_sizes(rows, FACTS, tmp_path)
    assert (tmp_path / "sizes-cpu.md").read_text() == page
    assert "| 16 x 16 |" in page
    assert json.loads((tmp_path / "sizes-cpu.json").read_text())["sizes"]["16"]["pixels"] == 256


def test_without_a_c_program(tmp_path):
    rows = by_size([16], "cpu", c_binary=None, threads=1, pairs=2)
    assert "c_s" not in rows["16"]
    assert "| 16 x 16 |  |  | " in write_sizes(rows, FACTS, tmp_path)


def test_the_profile_is_a_trace_that_a_browser_opens(tmp_path):
    parts = profile(32, "cpu", tmp_path / "new" / "trace.json")
    assert set(parts) == {"settle", "first render", "render"}
    events = json.loads((tmp_path / "new" / "trace.json").read_text())["traceEvents"]
    whole = [event for event in events if event.get("ph") == "X"]
    render = next(event for event in whole if event["name"] == "render")
    end = render["ts"] + render["dur"]
    inside = [e["name"] for e in whole if render["ts"] <= e["ts"] and e["ts"] + e["dur"] <= end]
    assert any("pixel_sum" in name or "aten::" in name for name in inside)


def test_a_device_that_is_not_there():
    with pytest.raises(BackendUnavailable):
        by_size([16], "cuda:77", c_binary=None, threads=1, pairs=1)


@pytest.mark.parametrize("words", [["--sizes", "0"], ["--sizes", "a"], ["--profile"], ["--device", "cuda"]])
def test_words_that_cannot_be(words):
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("benchmark.py: error: ")
