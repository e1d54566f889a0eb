from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
import torch

from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.models import Detector, Panel

ZERO = torch.zeros(2, dtype=torch.float64)


def panel(name: str = "") -> Panel:
    return Panel(
        pixels_f=20,
        pixels_s=16,
        pixel_size=real(0.0004),
        lengths=vector((0.008, 0.0064)),
        fast=vector((0.0, 0.0, 1.0)),
        slow=vector((0.0, -1.0, 0.0)),
        normal=vector((1.0, 0.0, 0.0)),
        rotations=torch.zeros(3, dtype=torch.float64),
        twotheta_axis=vector((0.0, 0.0, -1.0)),
        twotheta=real(0.0),
        pivot="beam",
        beam_centre=ZERO,
        near_point=ZERO,
        distance=real(0.06),
        distance_along_normal=False,
        origin=None,
        layers=1,
        layer_step=real(0.0),
        attenuation=real(-1.0),
        name=name,
    )


def test_the_panel_of_a_detector_that_has_one():
    only = panel()
    assert Detector((only,)).panel is only
    with pytest.raises(ValueError, match="too many values"):
        _ = Detector((only, only)).panel


def test_replace_reaches_every_panel():
    old = Detector((panel("left"), panel("right")))
    new = old.replace(distance=real(0.1), curved=True)
    assert new.curved
    assert [float(p.distance) for p in new.panels] == [0.1, 0.1]
    assert [p.name for p in new.panels] == ["left", "right"]
    assert [float(p.distance) for p in old.panels] == [0.06, 0.06]
    assert not old.curved


def test_replace_can_exchange_the_panels_and_change_them_in_one_go():
    new = Detector((panel(),)).replace(panels=(panel("a"), panel("b")), twotheta=real(0.2))
    assert [(p.name, float(p.twotheta)) for p in new.panels] == [("a", 0.2), ("b", 0.2)]


def test_unknown_fields_and_assignment_are_refused():
    detector = Detector((panel(),))
    with pytest.raises(TypeError):
        detector.replace(distance_mm=100.0)
    with pytest.raises(FrozenInstanceError):
        detector.curved = True
    with pytest.raises(FrozenInstanceError):
        detector.panel.distance = real(1.0)
