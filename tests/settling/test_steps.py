"""Every row of the step tables of specs/sources.md, sections 1 to 5."""

from __future__ import annotations

import math

import pytest

from nanobrag_torch.settling.steps import (
    ONE,
    Steps,
    dispersion_steps,
    divergence_steps,
    layer_steps,
    mosaic_domains,
    phi_steps,
)

NOT_GIVEN_COUNT = (None, 0, -1, -7)
NOT_GIVEN_RANGE = (None, -1.0, -0.5)
NOT_GIVEN_STEP = (None, 0.0, -1.0)


@pytest.mark.parametrize("step", NOT_GIVEN_STEP)
@pytest.mark.parametrize("range_", NOT_GIVEN_RANGE)
@pytest.mark.parametrize("count", NOT_GIVEN_COUNT)
def test_divergence_nothing_given_however_it_is_not_given(count, range_, step):
    assert divergence_steps(count, range_, step) == ONE == Steps(1, 0.0, 0.0)
    assert divergence_steps(count, range_, 0.25) == Steps(2, 0.25, 0.25)
    assert divergence_steps(count, 0.5, step) == Steps(2, 0.5, 0.5)
    assert divergence_steps(4, range_, step) == Steps(4, 1.0, 0.25)


@pytest.mark.parametrize(
    ("count", "range_", "step", "expected"),
    [
        (None, 10.0, 5.0, Steps(2, 10.0, 5.0)),
        (None, 10.0, 4.0, Steps(3, 10.0, 4.0)),
        (3, None, None, Steps(3, 1.0, 1.0 / 3)),
        (7, None, 0.25, Steps(2, 0.25, 0.25)),
        (1, 0.5, None, Steps(2, 0.5, 0.5)),
        (5, 0.5, None, Steps(5, 0.5, 0.125)),
        (5, 0.5, 0.3, Steps(5, 0.5, 0.3)),
        (1, 0.5, 0.3, Steps(1, 0.5, 0.3)),
        (5, 0.0, None, ONE),
        (5, 0.0, 0.3, ONE),
        (None, 0.0, None, ONE),
        (None, 0.0, 0.3, ONE),
    ],
)
def test_divergence(count, range_, step, expected):
    assert divergence_steps(count, range_, step) == expected


@pytest.mark.parametrize(
    ("count", "range_", "expected"),
    [
        (None, None, ONE),
        (None, 0.0, ONE),
        (None, 0.02, Steps(2, 0.02, 0.02)),
        (0, 0.02, Steps(2, 0.02, 0.02)),
        (-3, 0.02, Steps(2, 0.02, 0.02)),
        (None, -0.02, ONE),
        (1, 0.02, Steps(2, 0.02, 0.02)),
        (3, 0.02, Steps(3, 0.02, 0.01)),
        (3, 0.0, ONE),
        (3, None, ONE),
        (4, -0.02, Steps(4, 1.0, 0.25)),
    ],
)
def test_dispersion(count, range_, expected):
    assert dispersion_steps(count, range_) == expected


@pytest.mark.parametrize(
    ("count", "thickness", "expected"),
    [
        (None, None, ONE),
        (None, 100e-6, Steps(2, 100e-6, 50e-6)),
        (0, 100e-6, Steps(2, 100e-6, 50e-6)),
        (None, -1e-6, ONE),
        (1, 100e-6, Steps(2, 100e-6, 100e-6)),
        (5, 100e-6, Steps(5, 100e-6, 25e-6)),
        (5, 0.0, ONE),
        (5, None, ONE),
        (4, -1e-6, Steps(4, 0.5e-6, 0.5e-6 / 4)),
    ],
)
def test_layers(count, thickness, expected):
    assert layer_steps(count, thickness, exact=False) == expected


@pytest.mark.parametrize(
    ("count", "thickness", "expected"),
    [
        (None, None, ONE),
        (5, 0.0, ONE),
        (None, 100e-6, Steps(2, 100e-6, 50e-6)),
        (1, 100e-6, Steps(1, 100e-6, 100e-6)),
        (4, 100e-6, Steps(4, 100e-6, 25e-6)),
    ],
)
def test_layers_of_the_exact_mode_are_as_thick_as_the_sensor(count, thickness, expected):
    """Deviations F, D63: n layers of w/n."""
    assert layer_steps(count, thickness, exact=True) == expected


DEGREE = math.radians(1.0)


@pytest.mark.parametrize(
    ("count", "osc", "step", "expected"),
    [
        (None, None, None, ONE),
        (None, None, 0.0, ONE),
        (None, None, -1.0, ONE),
        (-1, -1.0, -1.0, ONE),
        (None, None, 0.25, Steps(2, 0.25, 0.25)),
        (None, 0.5, None, Steps(2, 0.5, 0.25)),
        (None, 0.5, 0.0, Steps(2, 0.5, 0.25)),
        (None, 0.0, None, Steps(2, 0.0, 0.0)),
        (None, 0.5, 0.2, Steps(3, 0.5, 0.2)),
        (None, 0.5, 0.25, Steps(2, 0.5, 0.25)),
        (None, 0.0, 0.1, Steps(1, 0.0, 0.1)),
        (4, None, None, Steps(4, DEGREE, DEGREE / 4)),
        (4, None, 0.0, Steps(4, DEGREE, DEGREE / 4)),
        (0, None, None, Steps(1, DEGREE, DEGREE)),
        (4, None, 0.25, Steps(2, 0.25, 0.25)),
        (4, 0.5, None, Steps(4, 0.5, 0.125)),
        (4, 0.5, -1.0, Steps(4, 0.5, 0.125)),
        (4, 0.5, 0.0, Steps(4, 0.5, 0.0)),
        (4, 0.5, 0.3, Steps(4, 0.5, 0.3)),
        (0, 0.5, None, Steps(1, 0.5, 0.5)),
        (4, 0.0, None, Steps(4, 0.0, 0.0)),
    ],
)
def test_phi(count, osc, step, expected):
    """The count of osc 0 with a step is one, where the C program has none (deviations, D20)."""
    assert phi_steps(count, osc, step, DEGREE) == expected


TEN = "WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains"
UNSAID = "WARNING: no mosaic spread specified.  setting mosaic_domains = 1"
ZERO = "WARNING: zero mosaic spread specified.  setting mosaic_domains = 1"


@pytest.mark.parametrize("none", NOT_GIVEN_COUNT)
def test_mosaic_without_a_count(none):
    assert mosaic_domains(none, None) == (1, 0.0, "")
    assert mosaic_domains(none, -1.0) == (1, 0.0, "")
    assert mosaic_domains(none, 0.0) == (1, 0.0, "")
    assert mosaic_domains(none, 0.02) == (10, 0.02, TEN)


@pytest.mark.parametrize(
    ("spread", "expected"),
    [(None, (1, 0.0, UNSAID)), (-1.0, (1, 0.0, UNSAID)), (0.0, (1, 0.0, ZERO)), (0.02, (5, 0.02, ""))],
)
def test_mosaic_with_a_count(spread, expected):
    assert mosaic_domains(5, spread) == expected


def test_one_mosaic_domain_is_one_domain():
    assert mosaic_domains(1, 0.02) == (1, 0.02, "")
