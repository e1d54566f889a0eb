"""Values as tables."""

from __future__ import annotations

import torch

from nanobrag_torch.config import PanelConfig
from nanobrag_torch.tables import as_html, as_text, written

ROWS = [("crystal", "cell", "70"), ("crystal", "N", "5"), ("beam", "wavelength", "1 <Å>")]


def test_a_part_is_named_where_it_begins():
    assert as_text("title", ROWS).split("\n") == [
        "title",
        "  crystal  cell        70",
        "           N           5",
        "  beam     wavelength  1 <Å>",
    ]
    assert as_text("nothing", []) == "nothing"


def test_html_is_escaped():
    made = as_html("a < b", ROWS)
    assert made.count("<tr>") == 3
    assert made.count("crystal") == 1
    assert "1 &lt;Å&gt;" in made
    assert "a &lt; b" in made


def test_values():
    assert written(70.0) == "70"
    assert written(1 / 3) == "0.333333"
    assert written(True) == "yes"
    assert written((1.0, 2.5)) == "1 2.5"
    assert written("a.mtz") == "a.mtz"
    assert written(torch.tensor(2.0, requires_grad=True)) == "2 (requires a gradient)"
    assert written(torch.zeros(3)) == "0 0 0"
    assert written(torch.zeros(4, 5)) == "4 x 5 numbers"
    panel = PanelConfig((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 4, 4, 0.1)
    assert written((panel, panel)) == "2 of PanelConfig"
