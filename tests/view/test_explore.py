"""`experiment.explore()`: sliders and the image they make."""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pictures

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    InputError,
    PanelConfig,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.view.explore import EVEN_DOMAINS, explore

pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
WITHIN_S = 0.05


def scene(pixels: int = 64, **crystal: Any) -> Config:
    return Config(
        crystal=CrystalConfig(
            cell_a=45.0, cell_b=55.0, cell_c=65.0, Na=10, Nb=10, Nc=10, default_F=100.0,
            misset_deg=(10.0, 20.0, 30.0), shape="gauss", **crystal,
        ),
        beam=BeamConfig(wavelength_A=1.0, fluence=1e24),
        detector=DetectorConfig(distance_mm=100.0, pixels_f=pixels, pixels_s=pixels, pixel_mm=60.0 / pixels),
        sampling=SamplingConfig(oversample=1),
    )  # fmt: skip


def shown(explorer: Any) -> np.ndarray:
    """The grey values that the widget shows."""
    return np.asarray(Pictures.open(io.BytesIO(explorer.images[0].value)))


def test_the_image_is_that_of_the_experiment_that_the_sliders_say():
    explorer = settle(scene()).explore()
    before = shown(explorer)
    assert before.shape == (64, 64)
    explorer.sliders["distance"].value = 120.0
    explorer.sliders["wavelength"].value = 1.1
    explorer.sliders["turn_y"].value = 2.0
    made = explorer.experiment
    assert float(made.detector.panel.distance) == pytest.approx(0.12)
    assert float(made.beam.wavelength) == pytest.approx(1.1)
    assert np.rad2deg(made.crystal.misset.numpy()) == pytest.approx([10.0, 22.0, 30.0])
    wanted = Simulator(made, dtype="float32").run().array
    assert explorer.line.value.startswith(f"{float(wanted.float().sum()):.4g} photons")
    assert (shown(explorer) != before).any()
    explorer.reset()
    np.testing.assert_array_equal(shown(explorer), before)


@pytest.mark.parametrize("name", ["turn_x", "turn_y", "turn_z", "distance", "wavelength", "mosaic_spread"])
def test_every_slider_moves_the_image(name):
    explorer = explore(settle(scene()))
    before = shown(explorer)
    slider = explorer.sliders[name]
    slider.value = slider.value + 0.1 * (slider.max - slider.min)
    assert (shown(explorer) != before).any()


def test_a_spread_of_an_ideal_crystal_stands_on_even_domains():
    explorer = explore(settle(scene()))
    explorer.sliders["mosaic_spread"].value = 0.5
    mosaic = explorer.experiment.crystal.mosaic
    assert mosaic.domains == EVEN_DOMAINS
    assert float(mosaic.spread) == pytest.approx(np.deg2rad(0.5))
    own = explore(settle(scene(mosaic_spread_deg=0.2, mosaic_domains=5)))
    own.sliders["mosaic_spread"].value = 0.4
    assert own.experiment.crystal.mosaic.domains == 5
    three = explore(settle(scene(mosaic_abc_deg=(0.3, 0.2, 0.1), mosaic_domains=5)))
    assert "mosaic_spread" not in three.sliders


def test_panels_with_origins_move_along_the_beam():
    panel = PanelConfig((-30.0, -30.0, 100.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 32, 64, 60.0 / 64)
    other = PanelConfig((0.0, -30.0, 100.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 32, 64, 60.0 / 64)
    config = Config(
        crystal=scene().crystal,
        beam=BeamConfig(wavelength_A=1.0, fluence=1e24, beam_vector=(0.0, 0.0, 1.0), polar_vector=(1.0, 0.0, 0.0)),
        detector=DetectorConfig(convention="CUSTOM", panels=(panel, other)),
        sampling=SamplingConfig(oversample=1),
    )
    explorer = explore(settle(config))
    assert len(explorer.images) == 2
    assert explorer.sliders["distance"].value == pytest.approx(100.0)
    explorer.sliders["distance"].value = 110.0
    for found, start in zip(explorer.experiment.detector.panels, (panel, other), strict=True):
        assert found.origin is not None
        assert 1000.0 * found.origin.numpy() == pytest.approx([*start.origin_mm[:2], 110.0])


def test_512_by_512_pixels_follow_at_once():
    explorer = explore(settle(scene(512, mosaic_spread_deg=0.3, mosaic_law="gauss", mosaic_domains=10)))
    seconds = []
    for degrees in np.linspace(-5.0, 5.0, 15):
        explorer.sliders["turn_x"].value = degrees
        seconds.append(explorer.seconds)
    assert min(seconds) < WITHIN_S, seconds


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="oversample"):
        explore(settle(scene()), oversample=0)


def test_without_ipywidgets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(InputError, match=r"nanobrag_torch\[notebook\]"):
        settle(scene()).explore()


@pytest.mark.slow
def test_in_a_browser_the_image_follows_a_slider(browser, tmp_path):
    pytest.importorskip("voila", reason="voila is not installed")
    script = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "make_explore_picture.py"))
    with script["served"](tmp_path) as address:
        before, after, line = script["follow"](browser.driver, address)
        browser.driver.get("about:blank")  # leaving, the page tells the server, which has to be there
    assert before != after
    assert after.startswith(("blob:", "data:image/png"))
    assert "photons" in line
