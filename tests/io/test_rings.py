"""Rings of resolution: where the pixels on them really are."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.io.rings import marks, resolution, usual_spacings
from nanobrag_torch.io.scene import Scene, rotation
from nanobrag_torch.view.main import scene_of_words

WORDS = "-cell 40 -default_F 1 -detpixels_x 200 -detpixels_y 160 -pixel 1 -distance 100 -lambda 1.1"


def scene(flags: str = "") -> Scene:
    """A detector of 200 x 160 mm."""
    return scene_of_words([*WORDS.split(), *flags.split()])


@pytest.mark.parametrize("flags", ["", "-twotheta 30", "-twotheta 100", "-xds -ORGX -300", "-detector_rotx 20"])
def test_a_ring_has_its_resolution_everywhere_and_lies_on_the_panel(flags: str) -> None:
    here = scene(flags)
    found = marks(here)
    assert len(found.rings) >= 2
    for ring in found.rings:
        for line in ring.lines:
            np.testing.assert_allclose(resolution(here, line[:, 0], line[:, 1]), ring.spacing, rtol=1e-9)
            assert (line >= 0).all()
            assert (line <= [200, 160]).all()
    assert list(usual_spacings(here)) == sorted(usual_spacings(here), reverse=True)


def test_chosen_rings_and_the_beam() -> None:
    here = scene("-Xbeam 70 -Ybeam 90")
    found = marks(here, spacings=(3.0, 2.0, 0.3, 500.0))
    assert [ring.spacing for ring in found.rings] == [3.0, 2.0, 500.0]
    assert found.beam == pytest.approx((90.5, 70.5))
    radius = 100.0 * np.tan(2 * np.arcsin(1.1 / 6.0))
    first = np.concatenate(found.rings[0].lines)
    np.testing.assert_allclose(np.linalg.norm(first - found.beam, axis=1), radius)


def test_nothing_where_there_is_nothing() -> None:
    assert marks(scene("-xds -twotheta 60")).beam is None
    behind = scene()
    turned = rotation([0.0, 0.0, 1.0], 180.0)
    panel = behind.panels[0]
    away = Scene((type(panel)(**{**vars(panel), "origin": turned @ panel.origin}),), behind.beam)
    assert marks(away, spacings=(3.0,)).rings == ()
    curved = Scene(behind.panels, behind.beam, curved=True)
    assert marks(curved) == marks(curved).__class__()


def test_a_ring_cut_by_the_edge_comes_in_parts() -> None:
    (ring,) = marks(scene(), spacings=(1.3,)).rings
    assert len(ring.lines) == 4
    (whole,) = marks(scene(), spacings=(3.0,)).rings
    assert len(whole.lines) == 1
    np.testing.assert_allclose(whole.lines[0][0], whole.lines[0][-1], atol=1e-9)
