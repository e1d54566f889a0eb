"""specs: deviations F, D54: a resolution limit cuts reflections, not the background."""

from __future__ import annotations

import numpy as np


def test_background_is_kept_where_every_sample_is_cut(render):
    faint = {"default_F": 1e-30, "water_um": 10.0}
    whole = render("exact", **faint)
    np.testing.assert_allclose(render("exact", dmin_A=20.0, **faint), whole, rtol=1e-14)
    assert (render("nanobragg", dmin_A=20.0, **faint) == 0).sum() == 80


def test_reflections_are_cut_as_before(render):
    """Without background the limit removes the same terms in both modes."""
    exact, faithful = (render(mode, dmin_A=20.0) for mode in ("exact", "nanobragg"))
    np.testing.assert_array_equal(exact == 0, faithful == 0)
    assert (exact == 0).sum() == 80


def test_cut_reflections_and_background_add(render):
    parts = render("exact", dmin_A=20.0) + render("exact", dmin_A=20.0, water_um=10.0, default_F=1e-30)
    np.testing.assert_allclose(render("exact", dmin_A=20.0, water_um=10.0), parts, rtol=1e-12)
