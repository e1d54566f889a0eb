"""Panels seen together from the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nanobrag_torch.io.flat_view import flat_view
from nanobrag_torch.io.scene import Scene, SceneBeam, ScenePanel

X, Y, Z = np.eye(3)


def scene(*origins) -> Scene:
    panels = tuple(ScenePanel(4, 3, 1e-3, np.array(origin), Z, -Y) for origin in origins)
    return Scene(panels, SceneBeam(X, 1.0, np.array([1.0]), np.ones(1), Z, 0.0, 1e20))


def test_a_square_panel_is_its_own_picture():
    values = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(flat_view(scene((0.1, 1.5e-3, -2e-3)), [values]), values)


def test_gaps_stay_empty():
    """Two panels side by side, two pixels apart."""
    values = np.arange(1.0, 13.0).reshape(3, 4)
    view = flat_view(scene((0.1, 1.5e-3, -2e-3), (0.1, 1.5e-3, 4e-3)), [values, 10 * values])
    np.testing.assert_array_equal(view, np.hstack([values, np.zeros((3, 2)), 10 * values]))


def test_a_panel_twice_as_far_looks_half_as_large():
    near, far = scene((0.1, 1.5e-3, -2e-3)).panels[0], scene((0.2, 3e-3, 10e-3)).panels[0]
    both = replace(scene((0, 0, 0)), panels=(near, far))
    view = flat_view(both, [np.ones((3, 4)), np.full((3, 4), 2.0)])
    assert (view == 1).sum() == 12
    assert (view == 2).sum() in (2, 4)


def test_panels_behind_the_sample_are_left_out():
    assert flat_view(scene((-0.1, 1.5e-3, -2e-3)), [np.ones((3, 4))]).shape == (1, 1)
