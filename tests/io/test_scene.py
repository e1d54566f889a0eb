"""The plain description of a scene: frames, corners, and what flat headers cannot say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nanobrag_torch.io.scene import (
    MCSTAS_TO_IMGCIF,
    Scene,
    SceneBeam,
    ScenePanel,
    mcstas_rotation,
    rotation,
    swung_back,
    unsaid_by_any,
    unsaid_by_flat_headers,
)

X, Y, Z = np.eye(3)


def beam(direction=X) -> SceneBeam:
    return SceneBeam(direction, 1.0, np.array([1.0]), np.ones(1), Z, 0.0, 1e20)


def scene(turn=None, **fields) -> Scene:
    """The MOSFLM detector, turned."""
    turn = np.eye(3) if turn is None else turn
    panel = ScenePanel(30, 20, 1e-4, turn @ np.array([0.1, 1e-3, -1.5e-3]), turn @ Z, turn @ -Y)
    return Scene(**{"panels": (panel,), "beam": beam(), "spindle": Z, "osc": 1.0, **fields})


@pytest.mark.parametrize("direction", [X, Z, -Z, Y, -Y, np.array([0.01, 0.02, -0.99])])
def test_the_beam_runs_along_z_of_nexus(direction):
    turn = mcstas_rotation(direction)
    np.testing.assert_allclose(turn @ (direction / np.linalg.norm(direction)), Z, atol=1e-15)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_up_stays_up():
    assert (mcstas_rotation(X) @ Y == Y).all()
    assert (mcstas_rotation(-Z) @ Y == Y).all()


def test_the_frame_of_dxtbx_is_its_own():
    """A beam along -z with y up is what dxtbx uses: nothing turns."""
    np.testing.assert_array_equal(MCSTAS_TO_IMGCIF @ mcstas_rotation(-Z), np.eye(3))


def test_mosflm_axes_in_the_frame_of_dxtbx():
    """Fast along +x, slow along -y, beam along -z: what dxtbx assumes of a miniCBF."""
    turn = scene().to_imgcif
    np.testing.assert_array_equal(turn @ Z, X)
    np.testing.assert_array_equal(turn @ -Y, -Y)
    np.testing.assert_array_equal(turn @ X, -Z)


def test_rotation_is_right_handed():
    np.testing.assert_allclose(rotation(Z, 90.0) @ X, Y, atol=1e-15)
    np.testing.assert_array_equal(rotation((0, 0, 0), 90.0), np.eye(3))


def test_corners_and_the_direct_beam():
    panel = scene().panels[0]
    f, s, distance = panel.meets(X)
    assert (f, s, distance) == pytest.approx((1.5e-3, 1e-3, 0.1))
    assert panel.holds(f, s)
    assert not panel.holds(-1e-6, s)
    np.testing.assert_allclose(panel.corners()[3] - panel.corners()[0], [0.0, -2e-3, 3e-3], atol=1e-12)


def test_the_main_panel_is_the_one_in_the_beam():
    first = scene().panels[0]
    others = [replace(first, origin=first.origin + shift * Y, name=str(shift)) for shift in (0.01, -0.003, 0.003)]
    assert replace(scene(), panels=(others[0], first)).main_panel is first
    assert replace(scene(), panels=(others[0], others[1])).main_panel is others[1]


def test_a_square_detector_can_be_said():
    assert unsaid_by_flat_headers(scene()) == ([], [])
    assert unsaid_by_any(scene()) == []


def test_several_panels_are_refused():
    refusals, _ = unsaid_by_flat_headers(replace(scene(), panels=scene().panels * 2))
    assert refusals == ["the detector has 2 panels"]


def test_a_swing_is_undone_before_judging():
    swung = scene(rotation(-Z, 20.0), twotheta=20.0, twotheta_axis=-Z)
    _, warnings = unsaid_by_flat_headers(swung)
    assert warnings == ["the two-theta swing has no axis, and some readers ignore it"]
    np.testing.assert_allclose(swung_back(swung).origin, scene().panels[0].origin, atol=1e-15)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (scene(rotation(Y, 1.0)), "tilted"),
        (scene(rotation(X, 1.0)), "spindle is not along the fast axis"),
        (scene(spindle=Y), "spindle is not along the fast axis"),
        (replace(scene(), panels=(replace(scene().panels[0], slow=Y),)), "mirror"),
        (replace(scene(), beam=replace(beam(), wavelengths=np.array([1.0, 1.1]))), "several wavelengths"),
    ],
)
def test_what_flat_headers_leave_out(changed, words):
    refusals, warnings = unsaid_by_flat_headers(changed)
    assert refusals == []
    assert words in " ".join(warnings)


def test_no_format_knows_curved_detectors():
    assert "curved" in unsaid_by_any(replace(scene(), curved=True))[0]


def test_a_still_has_no_spindle_to_describe():
    assert unsaid_by_flat_headers(scene(spindle=Y, osc=0.0)) == ([], [])
