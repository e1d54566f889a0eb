from __future__ import annotations

import json

import pytest

from nanobrag_torch.parity.clocked import main
from nanobrag_torch.pipeline.simulator import Simulator


def test_times_of_a_render(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Simulator, "run", Simulator.run)  # puts the plain one back afterwards
    line = [
        "-cell",
        "40",
        "-N",
        "3",
        "-default_F",
        "1",
        "-detpixels",
        "8",
        "-distance",
        "50",
        "-oversample",
        "1",
        "-nonoise",
    ]
    assert main(["clock.json", "2", *line]) == 0
    told = json.loads((tmp_path / "clock.json").read_text())
    assert len(told["render_s"]) == 3
    assert told["extra_s"] > 0
    assert told["device"] == "cpu"
    assert {"torch", "numpy", "python", "nanobrag_torch"} <= told.keys()
    assert (tmp_path / "floatimage.bin").exists()
    assert "max_I" in capsys.readouterr().out


@pytest.mark.parametrize("line", [["-N"], ["-cell", "0"]])
def test_a_refused_line_keeps_its_status(tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Simulator, "run", Simulator.run)
    assert main(["clock.json", "0", *line]) == 9
