"""specs: deviations F, D34: a source counts by its weight."""

from __future__ import annotations

import numpy as np
import pytest

FIRST, SECOND = [-10.0, 0.0, 0.0, 1.0, 1.2e-10], [-10.0, 0.2, 0.1, 3.0, 1.1e-10]
SCENE = {"misset_deg": (10.0, 20.0, 30.0), "polarization_factor": 0.5, "pixel_mm": 0.8}


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_weights_one_and_three_give_a_quarter_and_three_quarters(render, scale):
    rows = np.array([FIRST, SECOND])
    rows[:, 3] *= scale
    both = render("exact", sources=rows, **SCENE)
    first, second = (render("exact", sources=[row], **SCENE) for row in (FIRST, SECOND))
    assert np.abs(first - second).max() > 0.1 * first.max()
    np.testing.assert_allclose(both, 0.25 * first + 0.75 * second, rtol=1e-12, atol=1e-12 * both.max())


def test_weights_are_used_on_request_in_the_faithful_mode(render):
    weighted = render("nanobragg", sources=[FIRST, SECOND], use_source_weights=True, **SCENE)
    first, second = (render("nanobragg", sources=[row], **SCENE) for row in (FIRST, SECOND))
    # The polarization of the first source serves for all terms here: specs: intensity 5.
    np.testing.assert_allclose(weighted, 0.25 * first + 0.75 * second, rtol=0.05)


def test_weights_can_be_refused(render):
    even = render("exact", sources=[FIRST, SECOND], use_source_weights=False, **SCENE)
    first, second = (render("exact", sources=[row], **SCENE) for row in (FIRST, SECOND))
    np.testing.assert_allclose(even, 0.5 * first + 0.5 * second, rtol=1e-12, atol=1e-12 * even.max())
