from __future__ import annotations

import math

import pytest
import torch

from nanobrag_torch.geometry.detector import (
    Frame,
    Placement,
    curved_positions,
    flat_positions,
    panel_frame,
    sphere_positions,
    sub_pixel_coordinates,
)
from nanobrag_torch.geometry.rotation import rotate_about, rotate_xyz
from nanobrag_torch.geometry.vectors import dot, real, vector
from nanobrag_torch.numerics import norm

X, Y, Z = (vector(v) for v in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
F_b, S_b, F_c, S_c, D = 0.031, 0.022, 0.027, 0.018, 0.06
TURN = vector((0.05, 0.07, 0.09))
SWING = real(math.radians(15.0))


def placement(**changes) -> Placement:
    """A MOSFLM panel: beam along x, fast along z, slow along -y."""
    fields = {
        "fast": Z,
        "slow": -Y,
        "normal": X,
        "rotations": torch.zeros(3, dtype=torch.float64),
        "twotheta_axis": -Z,
        "twotheta": real(0.0),
        "pivot": "beam",
        "beam_centre": vector((F_b, S_b)),
        "near_point": vector((F_c, S_c)),
        "distance": real(D),
        "distance_along_normal": False,
        "origin": None,
    }
    return Placement(**{**fields, **changes})


def framed(exact: bool = False, **changes) -> Frame:
    return panel_frame(placement(**changes), X, exact)


def hit(frame: Frame, beam: torch.Tensor = X) -> tuple[float, float]:
    """Where the beam meets the plane of the panel, F and S, by solving for it."""
    distance = dot(frame.origin, frame.normal) / dot(beam, frame.normal)
    inside = distance * beam - frame.origin
    return float(dot(inside, frame.fast)), float(dot(inside, frame.slow))


@pytest.mark.parametrize("swing", [real(0.0), SWING])
@pytest.mark.parametrize("turn", [torch.zeros(3, dtype=torch.float64), TURN])
def test_the_beam_pivot_holds_the_spot_of_the_direct_beam(turn, swing):
    frame = framed(rotations=turn, twotheta=swing)
    at = frame.origin + F_b * frame.fast + S_b * frame.slow
    torch.testing.assert_close(at / norm(at), X)
    assert hit(frame) == pytest.approx((F_b, S_b), abs=1e-15)


@pytest.mark.parametrize("swing", [real(0.0), SWING])
@pytest.mark.parametrize("turn", [torch.zeros(3, dtype=torch.float64), TURN])
def test_the_sample_pivot_holds_the_near_point(turn, swing):
    """The detector is placed unrotated and swings around the sample with its near point."""
    frame = framed(pivot="sample", rotations=turn, twotheta=swing)
    torch.testing.assert_close(frame.near_point, vector((F_c, S_c)))
    at = frame.origin + F_c * frame.fast + S_c * frame.slow
    torch.testing.assert_close(at, frame.close_distance * frame.normal)
    rest = framed(pivot="sample").origin
    if not turn.any():
        torch.testing.assert_close(frame.origin, rotate_about(rest, -Z, swing))
    assert float(frame.close_distance) == pytest.approx(D * float(dot(X, rotate_xyz(X, turn))), rel=1e-14)


def test_without_rotations_both_pivots_give_the_same_panel():
    same = vector((F_b, S_b))
    for a, b in zip(framed(), framed(pivot="sample", near_point=same), strict=True):
        torch.testing.assert_close(a, b)


def test_two_theta_comes_after_the_three_rotations():
    frame = framed(rotations=TURN, twotheta=SWING)
    for found, start in ((frame.fast, Z), (frame.slow, -Y), (frame.normal, X)):
        torch.testing.assert_close(found, rotate_about(rotate_xyz(start, TURN), -Z, SWING))


def test_close_distance_is_kept_and_gives_the_distance():
    frame = framed(distance_along_normal=True, rotations=TURN)
    ratio = float(dot(X, rotate_xyz(X, TURN)))
    assert float(frame.close_distance) == pytest.approx(D, rel=1e-14)
    assert float(frame.distance) == pytest.approx(D / ratio, rel=1e-14)


def test_a_normal_towards_the_source_makes_the_distance_negative():
    """specs: geometry 7; deviations, D51."""
    frame = framed(normal=-X)
    assert float(frame.distance) == pytest.approx(-D)
    assert float(frame.origin[0]) == pytest.approx(-D)


def test_reported_distance_and_beam_centre_ignore_two_theta():
    """specs: geometry 9: -distance 60 -twotheta 10 prints 59.0885 (deviations, D38)."""
    swing = real(math.radians(10.0))
    frame = framed(twotheta=swing)
    assert f"{1000 * float(frame.distance):g}" == "59.0885"
    short = (1 - math.cos(math.radians(10.0))) * D
    expected = vector((F_b, S_b)) - short * torch.stack([dot(X, frame.fast), dot(X, frame.slow)])
    torch.testing.assert_close(frame.beam_centre, expected)


@pytest.mark.parametrize("pivot", ["beam", "sample"])
def test_the_exact_mode_reports_where_the_beam_really_meets_the_panel(pivot):
    frame = framed(exact=True, pivot=pivot, rotations=TURN, twotheta=SWING)
    assert frame.beam_centre.tolist() == pytest.approx(hit(frame), abs=1e-15)
    at = frame.origin + frame.beam_centre[0] * frame.fast + frame.beam_centre[1] * frame.slow
    torch.testing.assert_close(at, frame.distance * X)


def test_without_two_theta_both_modes_report_the_same():
    for a, b in zip(framed(rotations=TURN), framed(exact=True, rotations=TURN), strict=True):
        torch.testing.assert_close(a, b)


def test_an_explicit_origin_is_taken_as_it_stands():
    """specs: geometry 12: no rotation is applied to it, the axes are rotated as usual."""
    origin = vector((0.1, 0.02, -0.03))
    frame = framed(origin=origin, rotations=TURN, twotheta=SWING)
    assert torch.equal(frame.origin, origin)
    torch.testing.assert_close(frame.fast, framed(rotations=TURN, twotheta=SWING).fast)
    assert float(frame.close_distance) == pytest.approx(float(dot(origin, frame.normal)))
    assert float(frame.near_point[0]) == pytest.approx(-float(dot(origin, frame.fast)))


def test_sub_pixels_tile_their_pixel():
    """F = (p/n)(i n + e) + p/(2n): centres of a grid, whose mean is the centre of the pixel."""
    pixels = torch.arange(12)
    p = real(0.4)
    centre = sub_pixel_coordinates(pixels, 4, p, 1, (0, 0))
    torch.testing.assert_close(centre[0].reshape(3, 4)[1], 0.4 * (torch.arange(4, dtype=torch.float64) + 0.5))
    torch.testing.assert_close(centre[1].reshape(3, 4)[:, 1], 0.4 * (torch.arange(3, dtype=torch.float64) + 0.5))
    all_f = torch.stack([sub_pixel_coordinates(pixels, 4, p, 3, (s, f))[0] for s in range(3) for f in range(3)])
    all_s = torch.stack([sub_pixel_coordinates(pixels, 4, p, 3, (s, f))[1] for s in range(3) for f in range(3)])
    torch.testing.assert_close(all_f.mean(0), centre[0])
    torch.testing.assert_close(all_s.mean(0), centre[1])
    assert len({round(float(x), 9) for x in all_f[:, 0]}) == 3
    assert float(all_f[1, 0] - all_f[0, 0]) == pytest.approx(0.4 / 3)  # the second index is the fast one
    assert float(all_s[1, 0] - all_s[0, 0]) == 0.0


def test_the_origin_is_the_outer_corner_of_the_first_pixel():
    frame = framed(rotations=TURN)
    f, s = sub_pixel_coordinates(torch.tensor([0]), 7, real(0.002), 1, (0, 0))
    at = flat_positions(f, s, real(0.0), frame)[0]
    torch.testing.assert_close(at, frame.origin + 0.001 * frame.fast + 0.001 * frame.slow)


def test_layers_lie_along_the_normal():
    frame = framed(rotations=TURN)
    f, s = vector((0.001,)), vector((0.002,))
    step = flat_positions(f, s, real(3e-4), frame) - flat_positions(f, s, real(0.0), frame)
    torch.testing.assert_close(step[0], 3e-4 * frame.normal)


CURVED = [
    pytest.param("x", (80, 50), (0.095679, 0.0290736, 0.0004999), id="mosflm"),
    pytest.param("z", (50, 50), (0.0005, -0.084146, 0.0540296), id="xds"),
]


@pytest.mark.parametrize(("along", "pixel", "measured"), CURVED)
def test_the_curved_detector_is_the_measured_one(along, pixel, measured):
    """specs: geometry 10: 100 x 100 pixels of 1 mm at 100 mm; transverse directions exchanged (deviations, D28)."""
    centre = vector((0.05, 0.05))
    if along == "x":
        # the default beam centre of this convention is one pixel further (specs: geometry 4)
        beam, frame = X, framed(distance=real(0.1), beam_centre=vector((0.051, 0.051)))
    else:
        beam = Z
        frame = panel_frame(
            placement(fast=X, slow=Y, normal=Z, twotheta_axis=X, pivot="sample", near_point=centre, distance=real(0.1)),
            Z,
            False,
        )
    f, s = sub_pixel_coordinates(torch.tensor([pixel[1] * 100 + pixel[0]]), 100, real(0.001), 1, (0, 0))
    flat = flat_positions(f, s, real(0.0), frame)
    at = curved_positions(flat, frame, beam)
    assert at[0].tolist() == pytest.approx(measured, abs=1e-7)
    assert float(norm(at)) == pytest.approx(0.1, rel=1e-14)


def grid(side: float = 0.06, n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    line = torch.linspace(0.0, side, n, dtype=torch.float64)
    f, s = torch.meshgrid(line, line, indexing="ij")
    return f.reshape(-1), s.reshape(-1)


def test_the_exact_curved_detector_is_an_equidistant_sphere():
    """Arc length from the beam spot is the distance on the panel, and directions around the beam are kept."""
    frame = framed(exact=True)
    f, s = grid()
    at, sinc = sphere_positions(f, s, frame, X)
    torch.testing.assert_close(norm(at), torch.full_like(f, D))
    across = torch.stack([f - F_b, s - S_b], dim=1)
    arc = D * torch.acos((at[:, 0] / D).clamp(max=1.0))
    torch.testing.assert_close(arc, across.norm(dim=1), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(sinc, torch.sin(arc / D) / (arc / D).clamp(min=1e-12), atol=1e-7, rtol=1e-7)
    transverse = torch.stack([dot(at, frame.fast), dot(at, frame.slow)], dim=1)
    parallel = transverse[:, 0] * across[:, 1] - transverse[:, 1] * across[:, 0]
    assert parallel.abs().max() < 1e-15
    assert (transverse * across).sum(1).min() >= 0


def test_the_exact_sphere_touches_the_panel_at_the_beam_spot():
    frame = framed(exact=True)
    for h in (1e-3, 1e-4):
        f, s = vector((F_b + h, F_b)), vector((S_b, S_b + h))
        gap = sphere_positions(f, s, frame, X)[0] - flat_positions(f, s, real(0.0), frame)
        assert float(norm(gap).max()) < h * h / D
    at, sinc = sphere_positions(vector((F_b,)), vector((S_b,)), frame, X)
    torch.testing.assert_close(at[0], D * X)
    assert sinc[0] == 1.0


def test_turning_everything_turns_every_position():
    """Beam, axes and two-theta axis together: the frame turns, distances stay."""
    turn = vector((0.3, -0.8, 1.9))
    for pivot in ("beam", "sample"):
        rest = placement(pivot=pivot, twotheta=SWING)
        turned = rest._replace(
            **{name: rotate_xyz(getattr(rest, name), turn) for name in ("fast", "slow", "normal", "twotheta_axis")}
        )
        a, b = panel_frame(rest, X, False), panel_frame(turned, rotate_xyz(X, turn), False)
        for name in ("origin", "fast", "slow", "normal"):
            torch.testing.assert_close(rotate_xyz(getattr(a, name), turn), getattr(b, name), rtol=1e-12, atol=1e-15)
        for name in ("distance", "close_distance", "beam_centre", "near_point"):
            torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=1e-12, atol=1e-15)
