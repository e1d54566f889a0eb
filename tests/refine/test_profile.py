"""Profile likelihoods held to closed forms: parabolas where counts are many, skewed and one-sided ones where not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.refine import Constraints, Noise, Observation, Profile, Schedule, Shot, refine_shots
from nanobrag_torch.refine.main import main
from nanobrag_torch.refine.normal import Equations, Held, Rows, frozen, solve, tangent

TRUE = (20.3, -10.4, 5.2)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(misset: tuple[float, float, float] = TRUE, fluence: float = 3e26) -> Experiment:
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=40.0, cell_b=40.0, cell_c=50.0, Na=6, Nb=6, Nc=6, default_F=100.0, misset_deg=misset
            ),
            beam=BeamConfig(wavelength_A=1.0, fluence=fluence),
            detector=DetectorConfig(distance_mm=60.0, pixels_f=48, pixels_s=48, pixel_mm=1.3),
            sampling=SamplingConfig(oversample=1),
        )
    )


def shot(true: Experiment, begun: Experiment, seed: int) -> Shot:
    seen = Observation.of(torch.poisson(Simulator(true).run().array + 1.0, generator=rng(seed)))
    return Shot(begun, seen, seen.pixels[:, 1] // 24)


def counted(photons: float, seed: int = 3) -> Shot:
    """A still of about so many photons in all, without a background, at the pixels that may hold some."""
    drawn = Simulator(scene()).run().array
    bright = drawn > 1e-3 * drawn.max()
    whole = Observation.of(drawn)
    some = Observation(whole.values[bright.reshape(-1)], whole.pixels[bright.reshape(-1)])
    begun = scene(fluence=3e26 * photons / float(some.values.sum()))
    mean = some.values * photons / some.values.sum()
    return Shot(begun, Observation(torch.poisson(mean, generator=rng(seed)), some.pixels))


def poisson_ends(count: float, factor: float = 1.0) -> tuple[float, float]:
    """Where 2 (n (s - 1) - n log s) is factor², below and above 1: the likelihood of a scale s under n counts."""
    ends = []
    for low, high in ((1e-9, 1.0), (1.0, 50.0)):
        inside, outside = (high, low) if high == 1.0 else (low, high)
        for _ in range(200):
            middle = 0.5 * (inside + outside)
            rise = 2.0 * count * (middle - 1.0 - math.log(middle))
            inside, outside = (middle, outside) if rise < factor**2 else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def profile(seen: Shot, name: str, index: int = 0, constraints: Constraints | None = None) -> Profile:
    done = refine_shots([seen], [name], constraints=constraints, profiles=[(name, index, 0)])
    (found,) = done.profiles
    return found


def test_many_counts_give_the_parabola_of_the_covariance() -> None:
    """Everything correlated with everything, and counts enough that the likelihood is one."""
    true, begun = scene(fluence=3e29), scene((20.32, -10.4, 5.18), fluence=3e29)
    names = ["misset", "fluence", "cell_lengths", "distance"]
    asked = [("misset", 0, 0), ("cell_lengths", 2, 0), ("fluence", 0, 0)]
    known = Constraints(restraints={"distance": (0.06, 1e-4)})
    done = refine_shots([shot(true, begun, 1)], names, constraints=known, profiles=asked)
    (estimate,) = done.shots
    assert [(p.name, p.index, p.shot) for p in done.profiles] == asked
    for found in done.profiles:
        row = estimate.columns.index((found.name, found.index))
        sigma, value = float(estimate.sigma[row]), float(estimate.values[row])
        assert found.sigma == pytest.approx(sigma, rel=1e-3)
        assert abs(found.best - value) < 0.1 * sigma
        low, high = found.interval()
        assert low is not None
        assert high is not None
        assert (found.best - low) / sigma == pytest.approx(1.0, abs=0.03)
        assert (high - found.best) / sigma == pytest.approx(1.0, abs=0.03)
        # A parabola everywhere on the curve, which goes to two standard deviations on both sides.
        away = (found.values - found.best) / sigma
        torch.testing.assert_close(found.deviance, away**2, rtol=0.05, atol=0.02)
        assert found.deviance[0] >= 4.0
        assert found.deviance[-1] >= 4.0
        twice = found.interval(2.0)
        assert twice[0] is not None
        assert (found.best - twice[0]) / sigma == pytest.approx(2.0, abs=0.06)


def test_a_few_counts_give_the_skewed_likelihood_of_poisson() -> None:
    seen = counted(9.0)
    count = float(seen.observation.values.sum())
    assert 4.0 <= count <= 15.0
    found = profile(seen, "fluence")
    low, high = found.interval()
    assert low is not None
    assert high is not None
    wanted = poisson_ends(count)
    assert low / found.best == pytest.approx(wanted[0], rel=3e-3)
    assert high / found.best == pytest.approx(wanted[1], rel=3e-3)
    assert (high - found.best) > 1.15 * (found.best - low)
    assert found.sigma / found.best == pytest.approx(1.0 / math.sqrt(count), rel=1e-3)
    scale = found.values / found.best
    torch.testing.assert_close(found.deviance, 2.0 * count * (scale - 1.0 - scale.log()), rtol=0.01, atol=0.01)


def test_a_bound_ends_the_interval() -> None:
    """Allowed up to a fraction of a standard deviation above its best value only."""
    seen = counted(9.0)
    count = float(seen.observation.values.sum())
    begun = float(seen.experiment.beam.fluence)
    best = float(refine_shots([seen], ["fluence"]).shots[0].values)
    bounds = {"fluence": (0.05 * begun, best * 1.1)}
    lower = replace(seen, experiment=scene(fluence=0.8 * best))
    found = profile(lower, "fluence", constraints=Constraints(bounds=bounds))
    low, high = found.interval()
    assert low is not None
    assert low / best == pytest.approx(poisson_ends(count)[0], rel=3e-3)
    assert high is None
    assert float(found.values.max()) == pytest.approx(1.1 * best, rel=2e-3)
    assert found.deviance[-1] < 1.0


def test_a_narrow_prior_is_its_own_profile() -> None:
    """What the counts say of the distance is nothing beside what was known before."""
    found = profile(counted(500.0), "distance", constraints=Constraints(restraints={"distance": (0.06, 1e-8)}))
    low, high = found.interval()
    assert low is not None
    assert high is not None
    assert 0.06 - low == pytest.approx(1e-8, rel=1e-2)
    assert high - 0.06 == pytest.approx(1e-8, rel=1e-2)


def test_numbers_that_are_tied_move_together_and_those_of_a_shot_alone() -> None:
    others = (TRUE, (50.1, 30.3, -15.2))
    shots = [shot(scene(m), scene(m), i) for i, m in enumerate(others)]
    tied = Constraints(tied=[[("cell_lengths", 0), ("cell_lengths", 1)]], fixed=[("cell_lengths", 2)])
    asked = [("cell_lengths", 0, 0), ("cell_lengths", 1, 1), ("misset", 2, 1)]
    done = refine_shots(shots, ["cell_lengths"], ["misset"], constraints=tied, profiles=asked)
    first, mate, own = done.profiles
    torch.testing.assert_close(first.values, mate.values)
    torch.testing.assert_close(first.deviance, mate.deviance)
    for found in (first, own):
        estimate = done.shots[found.shot]
        row = estimate.columns.index((found.name, found.index))
        low, high = found.interval()
        assert low is not None
        assert high is not None
        assert (high - low) / 2.0 == pytest.approx(float(estimate.sigma[row]), rel=0.1)
    for element, message in (
        (("cell_lengths", 2, 0), "fixed"),
        (("N", 0, 0), "not refined"),
        (("misset", 3, 0), "not refined"),
        (("misset", 0, 2), "not refined in experiment 2"),
    ):
        with pytest.raises(InputError, match=message):
            refine_shots(
                shots, ["cell_lengths"], ["misset"], constraints=tied, schedule=Schedule(0), profiles=[element]
            )


def test_a_refinement_that_stopped_early_is_told_of() -> None:
    true, begun = scene(fluence=3e27), scene((20.32, -10.4, 5.2), fluence=3e27)
    with pytest.warns(NanobragWarning, match="refine with more steps"):
        refine_shots([shot(true, begun, 1)], ["misset"], schedule=Schedule(0), profiles=[("misset", 0, 0)])


def test_scatter_widens_the_curve_and_the_interval() -> None:
    found = Profile(
        "N", 0, 0, torch.tensor([-3.0, -1.5, 0.0, 1.5, 3.0]), torch.tensor([9.0, 2.25, 0.0, 2.25, 9.0]), 1.0
    )
    assert found.best == 0.0
    assert found.interval() == (-1.0, 1.0)
    assert found.interval(2.0) == (-2.0, 2.0)
    assert found.interval(3.5) == (None, None)
    # Counts that scatter twice as much as they should: the profile is followed four times as high.
    seen = shot(scene(), scene(), 5)
    values = (seen.observation.values - 1.0) * 3.0 + 1.0
    wild = replace(seen, observation=Observation(values.clamp_min(0.0), seen.observation.pixels))
    done = refine_shots([wild], ["fluence"], noise=Noise(), profiles=[("fluence", 0, 0)])
    assert done.chi_square > 1.5
    for end in (0, -1):
        assert done.profiles[0].deviance[end] >= 4.0 * done.chi_square


@pytest.mark.parametrize("which", [Held(None, 1), Held(1, 0)])
def test_a_held_parameter_does_not_move_and_the_others_follow(which: Held) -> None:
    """Against dense algebra of all parameters together."""
    shared, own, shots = 3, 2, 2
    size = shared + own * shots
    total, slope = torch.zeros(shared, shared, dtype=torch.float64), torch.zeros(shared, dtype=torch.float64)
    matrix, gradient, rows = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64), []
    for index in range(shots):
        places = torch.tensor([[0, 1], [1, 2]][index])
        half = torch.randn(7, 2 + own, generator=rng(index), dtype=torch.float64)
        block, pull = half.T @ half, torch.randn(2 + own, generator=rng(9 + index), dtype=torch.float64)
        total[places[:, None], places] += block[:2, :2]
        slope[places] += pull[:2]
        rows.append(Rows(block[2:], pull[2:], places))
        columns = torch.cat([places, shared + own * index + torch.arange(own)])
        matrix[columns[:, None], columns] += block
        gradient[columns] += pull
    equations = Equations(total, slope, tuple(rows), 0.0)
    at = which.index if which.shot is None else shared + own * which.shot + which.index
    others = torch.tensor([i for i in range(size) if i != at])
    rest = torch.linalg.inv(matrix[others[:, None], others])

    def dense(step: object) -> torch.Tensor:
        return torch.cat([step.shared, *step.own])  # type: ignore[attr-defined]

    step = dense(solve(frozen(equations, which), 0.0))
    assert float(step[at]) == 0.0
    torch.testing.assert_close(step[others], -rest @ gradient[others])
    way = dense(tangent(equations, which))
    assert float(way[at]) == 0.0
    torch.testing.assert_close(way[others], -rest @ matrix[others, at])


Sweep = Any
"""`Sweep` of conftest.py, which cannot be imported."""


def test_the_command_follows_profiles(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One number by its index, all that move of another quantity; the covariance is right where counts are many."""
    words = [str(sweep.expt), str(sweep.refl), "--amplitudes", str(sweep.amplitudes), "--model-error", "0"]
    words += ["--refine", "cell,scale", "--cells", "12", "--mosaic", "0.15", "--no-centroids"]
    assert main([*words, "--profile", "cell_lengths[1],scale,cell_angles", "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "by its profile" in said
    content = json.loads((tmp_path / "out" / "refined.json").read_text())
    numbers = {(n["name"], n["index"]): n for n in content["shots"][0]["parameters"]}
    # The angles of an orthorhombic cell do not move, so that they have no profile.
    assert [(p["name"], p["index"]) for p in content["profiles"]] == [("cell_lengths", 1), ("fluence", 0)]
    for row in content["profiles"]:
        number = numbers[row["name"], row["index"]]
        assert row["sigma"] == pytest.approx(number["sigma"], rel=0.02)
        assert row["level"] == pytest.approx(content["sigma_factor"] ** 2)
        for end in ("low", "high"):
            assert abs(row[end] - row["best"]) == pytest.approx(number["sigma"], rel=0.15)
        assert row["values"] == sorted(row["values"])
        assert min(row["deviance"][0], row["deviance"][-1]) >= 4.0 * row["level"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "Profile likelihoods" in page
    for asked, message in (
        ("misset", "not refined in experiment 0"),
        ("cell_lengths[7]", "not refined"),
        ("scale@1", "not refined in experiment 1"),
        ("cell_angles[0]", "fixed"),
        ("cell[", "is not understood"),
        ("bogus", "--profile: bogus is not known"),
    ):
        assert main([*words, "--profile", asked, "-o", str(tmp_path / "other")]) == 9
        assert message in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
