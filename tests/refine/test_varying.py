"""Crystals that turn and swell over a sweep: splines against closed forms, derivatives, slips that are recovered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Experiment,
    SamplingConfig,
    Simulator,
    settle,
)
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.refine import QUANTITIES, Constraints, Observation, Shot, refine_shots
from nanobrag_torch.refine.main import main
from nanobrag_torch.refine.varying import Smoother, experiment_at, roughness, spline_weights, static_value
from nanobrag_torch.units import radians_from_degrees

SIZE, IMAGES, WIDTH_DEG = 48, 8, 0.5
TRUE = (20.3, -10.4, 5.2)

Sweep = Any
"""`Sweep` of conftest.py, which cannot be imported."""


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("knots", [1, 2, 3, 5, 8])
def test_a_spline_keeps_constants_lines_and_its_knots(knots: int) -> None:
    places = torch.linspace(0.0, 1.0, 41, dtype=torch.float64)
    weights = spline_weights(places, knots)
    torch.testing.assert_close(weights.sum(1), torch.ones(41, dtype=torch.float64))
    if knots > 1:
        at = torch.linspace(0.0, 1.0, knots, dtype=torch.float64)
        torch.testing.assert_close(weights @ at, places)
        torch.testing.assert_close(spline_weights(at, knots), torch.eye(knots, dtype=torch.float64))


def test_a_spline_of_three_knots_is_the_natural_one() -> None:
    """Through 0, 1, 0: on the first half y = 3 x - 4 x³ (x from 0 to 1/2), flat in the middle, no bend at the ends."""
    places = torch.linspace(0.0, 0.5, 11, dtype=torch.float64)
    found = spline_weights(places, 3) @ doubles(0.0, 1.0, 0.0)
    torch.testing.assert_close(found, 3.0 * places - 4.0 * places**3)


def test_a_spline_between_many_knots_is_smooth() -> None:
    """Of a sine, to the fourth order of the spacing."""
    at, places = (torch.linspace(0.0, 1.0, n, dtype=torch.float64) for n in (9, 101))
    away = (spline_weights(places, 9) @ torch.sin(np.pi * at) - torch.sin(np.pi * places)).abs().max()
    assert away < 2e-4


def test_roughness_is_that_of_the_changes() -> None:
    values = torch.randn(4, 3, generator=rng(1), dtype=torch.float64).requires_grad_()
    loss = 0.5 * (((values[1:] - values[:-1]) / 0.3) ** 2).sum()
    (slope,) = torch.autograd.grad(loss, values, create_graph=True)
    found = roughness(values.detach(), 0.3)
    assert found[0] == pytest.approx(float(loss.detach()))
    torch.testing.assert_close(found[1], slope.detach().reshape(-1))
    hessian = torch.autograd.functional.hessian(
        lambda x: 0.5 * (((x[1:] - x[:-1]) / 0.3) ** 2).sum(), values.detach()
    ).reshape(12, 12)
    torch.testing.assert_close(found[2], hessian)


def scene(misset: tuple[float, float, float] = TRUE) -> Experiment:
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=40.0, cell_b=44.0, cell_c=50.0, Na=9, Nb=9, Nc=9, default_F=100.0, misset_deg=misset,
                shape="gauss", mosaic_spread_deg=0.2, mosaic_domains=10, mosaic_law="gauss",
            ),
            beam=BeamConfig(wavelength_A=1.0, fluence=1.2e27),
            detector=DetectorConfig(distance_mm=60.0, pixels_f=SIZE, pixels_s=SIZE, pixel_mm=1.3),
            sampling=SamplingConfig(oversample=1, osc_deg=WIDTH_DEG, phi_steps=3, spindle_axis=(1.0, 0.0, 0.0)),
        )
    )  # fmt: skip


def sweep_of(knots: dict[str, torch.Tensor], names: tuple[str, ...], count: int, seed: int = 2) -> Shot:
    """Counts of a crystal that goes through the knots, to be refined with `count` of them from no change."""
    still = scene()
    middles = (torch.arange(IMAGES, dtype=torch.float64) + 0.5) / IMAGES
    turns = radians_from_degrees(WIDTH_DEG) * torch.arange(IMAGES, dtype=torch.float64)
    parts = []
    for image, turn in enumerate(turns):
        there = still.replace(scan=still.scan.replace(start=still.scan.start + turn))
        for name, values in knots.items():
            weights = spline_weights(middles, len(values))[image]
            there = experiment_at(there, {name: values}, weights)
        drawn = Simulator(there).run().array + 1.0
        parts.append(Observation.of(torch.poisson(drawn, generator=rng(seed + image))))
    values, pixels = torch.cat([p.values for p in parts]), torch.cat([p.pixels for p in parts])
    image = torch.repeat_interleave(torch.arange(IMAGES), len(parts[0]))
    smoother = Smoother(names, spline_weights(middles, count)) if names else None
    return Shot(still, Observation(values, pixels), image, image, turns, smoother=smoother)


SLIP = radians_from_degrees(0.05)
START = torch.tensor([radians_from_degrees(x) for x in TRUE], dtype=torch.float64)
SLIPPED = START + SLIP * torch.tensor([[0.0, 0.0, 0.0], [0.3, -0.6, 0.1], [0.6, -0.5, 0.62]], dtype=torch.float64)
"""A crystal that has turned by 0.05 degrees at the end of the sweep, not evenly."""


def test_derivatives_by_knots_are_those_of_the_images() -> None:
    seen = sweep_of({}, ("misset", "cell_lengths"), 3)
    base = {"misset": SLIPPED, "cell_lengths": doubles(40.0, 44.0, 50.0) * (1.0 + 1e-3 * doubles(0, 1, -1)[:, None])}
    names = ["cell_lengths", "fluence", "misset"]
    values, slopes = seen.jacobian(seen.experiment, names, base)
    torch.testing.assert_close(values, seen.expected(seen.experiment, base))
    assert slopes.shape == (len(values), 9 + 1 + 9)
    for name, first, step in (("cell_lengths", 0, 1e-4), ("misset", 10, 1e-6)):
        for column in (1, 5, 6):
            moved = []
            for sign in (1.0, -1.0):
                change = base[name].clone()
                change.view(-1)[column] += sign * step
                moved.append(seen.expected(seen.experiment, {**base, name: change}))
            numeric = (moved[0] - moved[1]) / (2.0 * step)
            found = slopes[:, first + column]
            assert (found - numeric).abs().max() < 2e-4 * numeric.abs().max()


def test_a_slip_is_recovered_within_its_uncertainty() -> None:
    done = refine_shots([sweep_of({"misset": SLIPPED}, ("misset",), 3)], ["misset", "fluence"])
    (found,) = done.shots
    assert done.converged
    assert 0.9 < done.chi_square < 1.1
    assert [name for name, _ in found.columns] == ["misset"] * 9 + ["fluence"]
    torch.testing.assert_close(found.knots["misset"].reshape(-1), found.values[:9])
    z = (found.values[:9] - SLIPPED.reshape(-1)) / found.sigma[:9]
    assert z.abs().max() < 3.5
    assert 0.3 < float((z**2).mean()) < 2.5
    # The slip is many standard deviations, and a crystal that stands still does not explain it.
    assert float(SLIP / found.sigma[:9].max()) > 5.0
    still = refine_shots([sweep_of({"misset": SLIPPED}, (), 1)], ["misset", "fluence"])
    assert 2.0 * (still.losses[-1] - done.losses[-1]) > 50.0
    torch.testing.assert_close(found.experiment.crystal.misset, found.knots["misset"].mean(0))


def test_a_crystal_that_swells_is_recovered_in_its_symmetry() -> None:
    """Lengths a and b stay alike at every knot, c is fixed."""
    cell = doubles(40.0, 40.0, 50.0)
    swollen = torch.stack([cell, cell * doubles(1.001, 1.001, 1.0)])
    base = scene()
    assert base.crystal.cell is not None
    seen = sweep_of({"cell_lengths": swollen}, ("cell_lengths",), 2)
    begun = QUANTITIES["cell_lengths"].put(base, cell)
    seen = replace(seen, experiment=begun)
    limits = Constraints(tied=[[("cell_lengths", 0), ("cell_lengths", 1)]], fixed=[("cell_lengths", 2)])
    (found,) = refine_shots([seen], ["cell_lengths"], constraints=limits).shots
    at = found.knots["cell_lengths"]
    torch.testing.assert_close(at[:, 0], at[:, 1])
    torch.testing.assert_close(at[:, 2], doubles(50.0, 50.0))
    assert ((at[:, 0] - swollen[:, 0]).abs() < 3.5 * found.sigma[[0, 3]]).all()
    assert float((swollen[1, 0] - swollen[0, 0]) / found.sigma[3]) > 5.0


def test_no_variation_gives_the_static_answer() -> None:
    static = refine_shots([sweep_of({}, (), 1)], ["misset", "fluence"]).shots[0]
    one = refine_shots([sweep_of({}, ("misset",), 1)], ["misset", "fluence"]).shots[0]
    torch.testing.assert_close(one.values, static.values)
    torch.testing.assert_close(one.covariance, static.covariance)
    free = refine_shots([sweep_of({}, ("misset",), 3)], ["misset", "fluence"]).shots[0]
    assert ((free.values[:9] - START.repeat(3)).abs() < 3.5 * free.sigma[:9]).all()
    # Knots that are held together have the value and the uncertainty of one.
    stiff = Constraints(smooth={"misset": 1e-8})
    held = refine_shots([sweep_of({}, ("misset",), 3)], ["misset", "fluence"], constraints=stiff).shots[0]
    for knot in range(3):
        part = slice(3 * knot, 3 * knot + 3)
        assert ((held.values[part] - static.values[:3]).abs() < 0.01 * static.sigma[:3]).all()
        torch.testing.assert_close(held.sigma[part], static.sigma[:3], rtol=2e-3, atol=0.0)


def test_two_sweeps_vary_each_by_itself() -> None:
    shots = [sweep_of({"misset": at}, ("misset",), 3, 20 * i) for i, at in enumerate((SLIPPED, SLIPPED.flip(0)))]
    done = refine_shots(shots, ["fluence"], ["misset"])
    for found, wanted in zip(done.shots, (SLIPPED, SLIPPED.flip(0)), strict=True):
        z = (found.values[1:] - wanted.reshape(-1)) / found.sigma[1:]
        assert z.abs().max() < 3.5
    with pytest.raises(InputError, match="give each its own"):
        refine_shots(shots, ["fluence", "misset"])
    with pytest.raises(InputError, match="not refined"):
        refine_shots(shots, ["fluence"])
    with pytest.raises(InputError, match="same quantities"):
        refine_shots([shots[0], replace(shots[1], smoother=None)], ["fluence"], ["misset"])
    wrong = Smoother(("fluence",), spline_weights(torch.linspace(0.0, 1.0, IMAGES, dtype=torch.float64), 2))
    with pytest.raises(InputError, match="cannot vary"):
        refine_shots([replace(shots[0], smoother=wrong)], ["fluence"])
    with pytest.raises(InputError, match="each image"):
        replace(shots[0], smoother=Smoother(("misset",), torch.ones(2, 1, dtype=torch.float64)))


def test_an_interrupted_run_goes_on_from_the_mean() -> None:
    base = scene()
    torch.testing.assert_close(static_value("misset", SLIPPED, base), SLIPPED.mean(0))
    assert static_value("misset", START, base) is START


def turned_by(found: np.ndarray, wanted: np.ndarray) -> float:
    """Angle (degrees) between two settings of nearly the same cell, rows a, b, c."""
    turn = np.linalg.solve(wanted, found)
    turn = turn / np.cbrt(np.linalg.det(turn))
    away = np.array([turn[1, 2] - turn[2, 1], turn[2, 0] - turn[0, 2], turn[0, 1] - turn[1, 0]]) / 2.0
    return float(np.degrees(np.linalg.norm(away)))


def test_the_command_follows_a_slipping_crystal(
    slipping: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(slipping.expt), str(slipping.refl), "--amplitudes", str(slipping.amplitudes), "--model-error", "0"]
    words += ["--refine", "misset,N,mosaic_spread,scale", "--cells", "12", "--mosaic", "0.15", "--phi-steps", "8"]
    words += ["--no-centroids"]
    folder = tmp_path / "out"
    asked = ["--scan-varying", "misset", "--knots", "3", "--smooth", "misset=1", "--leave-out", "3"]
    assert main([*words, *asked, "-o", str(folder)]) == 0
    assert "misset[5] knot 1" in capsys.readouterr().out
    (refined,) = read_expt_list(folder / "refined.expt")
    assert refined.crystal is not None
    assert refined.crystal.points is not None
    assert refined.scan is not None
    assert len(refined.crystal.points) == refined.scan.images + 1
    truth = [slipping.at(place) for place in np.linspace(0.0, 1.0, len(refined.crystal.points))]
    assert turned_by(truth[0], truth[-1]) > 0.14
    away = [turned_by(found, wanted) for found, wanted in zip(refined.crystal.points, truth, strict=True)]
    content = json.loads((folder / "refined.json").read_text())
    (shot,) = content["shots"]
    course = shot["scan_varying"]["misset"]
    assert course["image"] == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert max(away) < 4.0 * np.linalg.norm(np.max(course["sigma"], axis=0))
    assert max(away) < 0.05
    rows = [row for row in shot["parameters"] if row["name"] == "misset"]
    assert [row["knot"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (folder / "report.html").read_text().count("data:image/png;base64,") == 4
    # An interrupted run goes on from the mean of its knots.
    again = [*words, *asked, "--steps", "1", "-o", str(tmp_path / "again")]
    (tmp_path / "again").mkdir()
    state = {"words": again, "values": [{"misset": [[0.0, 0.0, 0.0], [1e-3, 0.0, 0.0], [2e-3, 0.0, 0.0]]}]}
    (tmp_path / "again" / "progress.json").write_text(json.dumps(state))
    assert main([*again, "--resume"]) == 0
    # A crystal that stands still explains the same frames, those left out too, less well.
    assert main([*words, "--leave-out", "3", "-o", str(tmp_path / "still")]) == 0
    static = json.loads((tmp_path / "still" / "refined.json").read_text())
    assert static["losses"][-1] > content["losses"][-1] + 20.0
    left, before = (x["shots"][0]["agreement"]["left_out"]["chi_square"] for x in (content, static))
    assert left < before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--scan-varying", "N"], "N cannot vary over a scan"),
        (["--scan-varying", "cell"], "not refined"),
        (["--scan-varying", "bogus"], "--scan-varying: bogus is not known"),
        (["--scan-varying", "misset", "--knots", "7"], "7 are more than the 6 images"),
        (["--scan-varying", "misset", "--knots", "0"], "give 1 or more"),
        (["--knots", "3"], "nothing varies over the scan"),
        (["--scan-varying", "misset", "--smooth", "scale=1"], "scale does not vary"),
        (["--scan-varying", "misset", "--smooth", "misset"], "no positive width"),
    ],
)
def test_what_cannot_vary_is_refused(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    words = [str(sweep.expt), str(sweep.refl), "--amplitudes", str(sweep.amplitudes), "--refine", "misset,scale"]
    assert main([*words, "--no-centroids", *change, "-o", str(tmp_path / "out")]) == 9
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
