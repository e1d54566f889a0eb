"""An image shows itself in notebooks."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image as PngImage

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, PanelConfig, Simulator, settle
from nanobrag_torch.io.picture import preview
from nanobrag_torch.pipeline.image import NOTEBOOK_PIXELS

CRYSTAL = CrystalConfig(cell_a=40.0, Na=3, Nb=3, Nc=3, default_F=10.0)


def test_png_and_html() -> None:
    detector = DetectorConfig(distance_mm=60.0, pixels_f=40, pixels_s=30, pixel_mm=1.0)
    image = Simulator(settle(Config(crystal=CRYSTAL, detector=detector))).run()
    shown = np.asarray(PngImage.open(io.BytesIO(image._repr_png_())))
    np.testing.assert_array_equal(shown, preview(image.numpy()[0]))
    html = image._repr_html_()
    (embedded,) = re.findall(r"base64,([^\"]+)", html)
    assert base64.b64decode(embedded) == image._repr_png_()
    assert "30 × 40 pixels" in html


def test_every_panel_is_shown_and_none_is_too_large() -> None:
    wide = NOTEBOOK_PIXELS + 1
    panels = tuple(
        PanelConfig((60.0, y, -4.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), wide, 2, 0.1, name=f"<{y}>")
        for y in (4.0, -0.5)
    )
    image = Simulator(settle(Config(crystal=CRYSTAL, detector=DetectorConfig(panels=panels)))).run()
    html = image._repr_html_()
    assert html.count("<figure") == 2
    assert "&lt;4.0&gt;: " in html
    assert PngImage.open(io.BytesIO(image._repr_png_())).size == ((wide + 1) // 2, 1)
