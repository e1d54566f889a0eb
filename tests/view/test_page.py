"""The page as text: complete, harmless, lossless."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, SamplingConfig, Simulator, settle
from nanobrag_torch.io.scene import Scene
from nanobrag_torch.pipeline.trace import trace_pixel
from nanobrag_torch.view import Picture, page, pictures_of
from nanobrag_torch.view.main import scene_of_words
from nanobrag_torch.view.page import packed


def test_pixels_survive_packing() -> None:
    pixels = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    planes = np.frombuffer(zlib.decompress(base64.b64decode(packed(pixels))), np.uint8).reshape(4, 12)
    np.testing.assert_array_equal(np.ascontiguousarray(planes.T).view(np.float32).reshape(3, 4), pixels)


def test_a_panel_along_the_beam_has_no_distance() -> None:
    made = scene_of_words(["-cell", "40", "-default_F", "1", "-detpixels", "8"])
    along = replace(made.panels[0], fast=made.beam.direction)
    info = re.search(
        r'id="info">(.*?)</script>', page([Picture("p", np.ones((8, 8), np.uint8), Scene((along,), made.beam))])
    )
    assert info is not None
    assert json.loads(info[1])[0]["geometry"]["distance"] is None


def test_the_page_needs_nothing_else_and_runs_nothing_foreign() -> None:
    text = page([Picture("</script><script>alert(1)</script>", np.zeros((2, 3), np.uint8))])
    assert "alert(1)</script>" not in text
    assert "{{" not in text
    assert re.findall(r"(?:https?:|src=|href=|import )\S*", text) == []
    assert "default-src 'none'" in text
    with pytest.raises(ValueError, match="needs a picture"):
        page([])


def test_indices_and_resolution_are_those_of_the_trace() -> None:
    config = Config(
        crystal=CrystalConfig(cell_a=40.0, cell_b=45.0, cell_c=50.0, default_F=10.0, misset_deg=(10.0, 20.0, 30.0)),
        detector=DetectorConfig(distance_mm=60.0, pixels_f=20, pixels_s=16, pixel_mm=1.0),
        sampling=SamplingConfig(phi_deg=15.0, oversample=1),
    )
    experiment = settle(config)
    (picture,) = pictures_of(Simulator(experiment).run())
    info = json.loads(re.search(r'id="info">(.*?)</script>', page([picture]))[1])[0]  # type: ignore[index]
    g = info["geometry"]
    place = np.array(g["origin"]) + 3.5 * np.array(g["fast"]) + 11.5 * np.array(g["slow"])
    S = (place / np.linalg.norm(place) - g["beam"]) / g["wavelength"]
    traced = next(tap.values for tap in trace_pixel(experiment, 11, 3) if tap.name == "hkl_frac")
    np.testing.assert_allclose(np.array(g["cell"]) @ S, traced, rtol=1e-9)
    assert info["rings"]
    assert info["beam"] == pytest.approx([11.0, 9.0])
