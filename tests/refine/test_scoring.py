"""The likelihood held to autograd and sampling, the blocks to dense algebra, the refinement to what made the data."""

from __future__ import annotations

import math
from dataclasses import replace

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
from nanobrag_torch.refine import Amplitudes, Constraints, Noise, Observation, Schedule, Shot, background, refine_shots
from nanobrag_torch.refine.likelihood import planes, scored
from nanobrag_torch.refine.normal import Equations, Rows, assemble, covariances, solve, without_planes
from nanobrag_torch.units import radians_from_degrees


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "noise", [Noise(), Noise(2.5, 4.0), Noise(1.7, 0.3, 2.0), Noise(relative=0.3), Noise(2.0, 1.0, 2.0, 0.1)]
)
def test_score_is_the_derivative_of_the_loss(noise: Noise) -> None:
    mean = (10.0 * torch.rand(200, generator=rng(1), dtype=torch.float64) + 0.1).requires_grad_()
    seen = noise.gain * torch.poisson(mean.detach(), generator=rng(2)) - 0.2 * noise.readout
    seen[::17] += 60.0 * noise.gain
    found = scored(mean, seen, noise)
    (expected,) = torch.autograd.grad(found.loss, mean)
    torch.testing.assert_close(found.score, expected)


def test_loss_is_half_the_deviance() -> None:
    mean, seen = 3.0, 5
    logarithm = seen * math.log(mean) - mean - (seen * math.log(seen) - seen)
    found = scored(torch.tensor([mean], dtype=torch.float64), torch.tensor([seen]), Noise())
    assert float(found.loss) == pytest.approx(-logarithm)
    assert not torch.isfinite(scored(torch.tensor([-1.0]), torch.tensor([seen]), Noise()).loss)


@pytest.mark.parametrize("noise", [Noise(), Noise(2.0, 3.0)])
def test_score_has_no_mean_and_the_information_as_variance(noise: Noise) -> None:
    mean = torch.full((200_000,), 1.5, dtype=torch.float64)
    seen = noise.gain * torch.poisson(mean, generator=rng(3))
    seen += noise.readout * torch.randn(len(seen), generator=rng(4), dtype=torch.float64)
    found = scored(mean, seen, noise)
    information = float(found.information[0])
    assert abs(float(found.score.mean())) < 4.0 * math.sqrt(information / len(mean))
    assert float(found.score.var()) == pytest.approx(information, rel=0.02)


@pytest.mark.parametrize("noise", [Noise(), Noise(2.0, 1.5), Noise(relative=0.4)])
@pytest.mark.parametrize("mean", [0.1, 1.0, 30.0])
def test_squares_of_right_counts_are_one_on_average(noise: Noise, mean: float) -> None:
    """Whatever the mean; deviances are not (1.15 at one count, 0.5 at a tenth), and would widen error bars."""
    torch.manual_seed(9)
    rates = torch.full((400_000,), mean, dtype=torch.float64)
    if noise.relative:
        shape = noise.relative**-2
        rates = torch.distributions.Gamma(shape, shape / mean).sample((400_000,)).double()
    seen = noise.gain * torch.poisson(rates, generator=rng(9))
    seen = seen + noise.readout * torch.randn(len(seen), generator=rng(10), dtype=torch.float64)
    found = scored(torch.full_like(rates, mean), seen, noise)
    scatter = float(found.squares.std()) / math.sqrt(len(rates))
    assert float(found.squares.mean()) == pytest.approx(1.0, abs=5.0 * scatter)
    wild = scored(torch.full((1,), mean, dtype=torch.float64), torch.tensor([1e4]), noise)
    assert float(wild.squares) == 25.0
    if not noise.readout and mean == 0.1:
        assert float((found.residual**2).mean()) < 0.7


def test_a_model_that_is_a_part_wrong_widens_the_counts() -> None:
    """Poisson counts whose mean is spread by a part r have the variance m + (r m)²; their score has no mean."""
    mean, part = 50.0, 0.2
    shape = part**-2
    rates = torch.distributions.Gamma(shape, shape / mean)
    torch.manual_seed(8)
    seen = torch.poisson(rates.sample((200_000,)).double(), generator=rng(8))
    found = scored(torch.full((200_000,), mean, dtype=torch.float64), seen, Noise(relative=part))
    information = float(found.information[0])
    assert information == pytest.approx(1.0 / (mean + (part * mean) ** 2))
    assert abs(float(found.score.mean())) < 4.0 * math.sqrt(information / len(seen))
    assert float(found.score.var()) == pytest.approx(information, rel=0.02)
    # As the part goes to 0 it becomes the Poisson likelihood.
    near, exact = (scored(torch.tensor([3.0]).double(), torch.tensor([7]), Noise(relative=r)) for r in (1e-4, 0.0))
    torch.testing.assert_close(near.loss, exact.loss, rtol=1e-6, atol=0.0)


def test_wild_pixels_pull_no_more_than_the_threshold() -> None:
    mean = torch.full((2,), 4.0, dtype=torch.float64)
    near, far = scored(mean, torch.tensor([100.0, 10_000.0]), Noise(zinger=3.0)).residual
    weight = scored(mean, torch.tensor([100.0, 10_000.0]), Noise(zinger=3.0)).information * 4.0
    torch.testing.assert_close(weight, 3.0 / torch.stack([near, far]))


def rows_of(matrix: torch.Tensor, gradient: torch.Tensor, places: torch.Tensor) -> Rows:
    """What is kept of a shot."""
    count = len(places)
    return Rows(matrix[count:], gradient[count:], places)


def gathered(parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], shared: int) -> Equations:
    """Equations of shots (matrix, gradient, places)."""
    total, slope = torch.zeros(shared, shared, dtype=torch.float64), torch.zeros(shared, dtype=torch.float64)
    for matrix, gradient, places in parts:
        count = len(places)
        total[places[:, None], places] += matrix[:count, :count]
        slope[places] += gradient[:count]
    return Equations(total, slope, tuple(rows_of(*part) for part in parts), 0.0)


def test_blocks_give_the_dense_step_and_covariance() -> None:
    shared, own, regions, count = 3, 2, 4, 60
    parts = []
    labels = torch.arange(count) % regions
    shots = 3
    size = shared + shots * (own + 3 * regions)
    matrix, gradient = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for shot in range(shots):
        jacobian, design = (torch.randn(count, n, generator=rng(10 * n + shot), dtype=torch.float64) for n in (5, 3))
        score = torch.randn(count, generator=rng(shot), dtype=torch.float64)
        weight = 0.5 + torch.rand(count, generator=rng(shot + 50), dtype=torch.float64)
        normal = assemble(jacobian, score, weight, design, labels)
        parts.append((*without_planes(normal), torch.arange(shared)))
        wide = torch.zeros(count, size, dtype=torch.float64)
        at = shared + shot * (own + 3 * regions)
        wide[:, :shared], wide[:, at : at + own] = jacobian[:, :shared], jacobian[:, shared:]
        for pixel in range(count):
            begin = at + own + 3 * int(labels[pixel])
            wide[pixel, begin : begin + 3] = design[pixel]
        matrix, gradient = matrix + wide.T @ (weight[:, None] * wide), gradient + wide.T @ score
    equations = gathered(parts, shared)
    step = solve(equations, 0.0)
    dense = -torch.linalg.solve(matrix, gradient)
    torch.testing.assert_close(step.shared, dense[:shared])
    inverse = torch.linalg.inv(matrix)
    found = covariances(equations)
    for shot in range(shots):
        at = shared + shot * (own + 3 * regions)
        torch.testing.assert_close(step.own[shot], dense[at : at + own])
        chosen = [*range(shared), *range(at, at + own)]
        torch.testing.assert_close(found.shots[shot], inverse[chosen][:, chosen])


def test_a_profiled_background_is_the_most_likely_one() -> None:
    """For given spots no other plane is more likely, and the likelihood's slope is that of its priors."""
    count = 120
    labels = torch.arange(count) % 2
    where = torch.stack([torch.zeros(count), torch.arange(count) // 12, torch.arange(count) % 12], 1).long()
    design = planes(where, labels)
    spots = 3.0 * torch.rand(count, generator=rng(60), dtype=torch.float64)
    seen = torch.poisson(spots + 0.8, generator=rng(61))
    begun = torch.zeros(2, 3, dtype=torch.float64)
    noise = Noise(relative=0.1)
    found, behind, judged = background.profiled(spots, seen, noise, design, labels, (begun - 1.0, begun))
    torch.testing.assert_close(behind, background.level(design, found, labels))

    def loss(at: torch.Tensor) -> torch.Tensor:
        whole = scored(spots + background.level(design, at, labels), seen, noise).loss
        return whole + background.prior(at, begun).sum()

    torch.testing.assert_close(judged.loss + background.prior(found, begun).sum(), loss(found))
    (slope,) = torch.autograd.grad(loss(at := found.clone().requires_grad_()), at)
    assert slope.abs().max() < 1e-3
    for seed in range(5):
        beside = found + 0.05 * torch.randn(2, 3, generator=rng(70 + seed), dtype=torch.float64)
        assert float(loss(beside)) > float(loss(found))


def scene(misset: tuple[float, float, float], distance: float = 60.0) -> Experiment:
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=40.0, cell_b=40.0, cell_c=50.0, Na=6, Nb=6, Nc=6, default_F=100.0, misset_deg=misset
            ),
            beam=BeamConfig(wavelength_A=1.0, fluence=3e26),
            detector=DetectorConfig(distance_mm=distance, pixels_f=48, pixels_s=48, pixel_mm=1.3),
            sampling=SamplingConfig(oversample=1),
        )
    )


def shot(true: Experiment, begun: Experiment, seed: int) -> Shot:
    slope = torch.linspace(0.5, 1.5, 48, dtype=torch.float64)
    seen = Observation.of(torch.poisson(Simulator(true).run().array + slope, generator=rng(seed)))
    return Shot(begun, seen, seen.pixels[:, 1] // 24)


def test_shared_amplitudes_are_single_columns_of_all_shots() -> None:
    """A dense problem in which every region of every shot shows one of a few shared strengths."""
    shared, own, kinds, count = 2, 1, 3, 40
    size, shots = shared + kinds, 3
    whole = size + own * shots
    matrix, gradient = torch.zeros(whole, whole, dtype=torch.float64), torch.zeros(whole, dtype=torch.float64)
    parts = []
    for index in range(shots):
        seen = torch.tensor([[0, 1], [1, 2], [0, 2]][index])
        columns = torch.cat([torch.arange(shared), shared + seen, torch.tensor([size + index])])
        jacobian = torch.randn(count, len(columns), generator=rng(index), dtype=torch.float64)
        score, weight = (torch.rand(count, generator=rng(k + index), dtype=torch.float64) for k in (20, 30))
        parts.append((jacobian.T @ (weight[:, None] * jacobian), jacobian.T @ score, columns[:-1]))
        wide = torch.zeros(count, whole, dtype=torch.float64)
        wide[:, columns] = jacobian
        matrix, gradient = matrix + wide.T @ (weight[:, None] * wide), gradient + wide.T @ score
    equations = gathered(parts, size)
    step = solve(equations, 0.0)
    dense = -torch.linalg.solve(matrix, gradient)
    torch.testing.assert_close(torch.cat([step.shared, *step.own]), dense)
    assert step.promised == pytest.approx(-0.5 * float(gradient @ dense))
    found, inverse = covariances(equations, shared), torch.linalg.inv(matrix)
    torch.testing.assert_close(found.shared, inverse[:size, :size])
    last = torch.tensor([0, 1, size + 2])
    torch.testing.assert_close(found.shots[2], inverse[last[:, None], last])


TRUE = (20.3, -10.4, 5.2)
ANGLES = torch.tensor([radians_from_degrees(x) for x in TRUE], dtype=torch.float64)


def test_shots_of_one_camera_give_it_back_with_its_uncertainty() -> None:
    others = ((20.3, -10.4, 5.2), (50.1, 30.3, -15.2))
    shots = [shot(scene(m), scene((m[0] + 0.1, m[1], m[2] - 0.1), 60.1), i) for i, m in enumerate(others)]
    constraints = Constraints(tied=[[("cell_lengths", 0), ("cell_lengths", 1)]], fixed=[("cell_lengths", 2)])
    done = refine_shots(shots, ["distance", "cell_lengths"], ["misset"], constraints=constraints)
    assert done.converged
    assert 0.8 < done.chi_square < 1.3
    first, second = done.shots
    torch.testing.assert_close(first.values[:4], second.values[:4])
    assert first.columns[0] == ("distance", 0)
    assert first.columns[4] == ("misset", 0)
    assert float(first.values[1]) == pytest.approx(float(first.values[2]))
    assert float(first.values[3]) == 50.0
    assert float(first.sigma[3]) == 0.0
    truth = torch.cat([torch.tensor([0.06, 40.0, 40.0, 50.0], dtype=torch.float64), ANGLES])
    free = first.sigma > 0.0
    assert ((first.values - truth)[free].abs() / first.sigma[free]).max() < 4.0
    # The background rises from 0.5 to 1.5 along the rows of both regions.
    torch.testing.assert_close(
        first.planes, torch.tensor([[1.0, 0.0, 0.5]] * 2, dtype=torch.float64), atol=0.15, rtol=0
    )


def test_a_restraint_enters_value_and_uncertainty() -> None:
    seen = shot(scene(TRUE), scene(TRUE), 5)
    free = refine_shots([seen], ["distance"]).shots[0]
    width = float(free.sigma)
    mean = float(free.values) + 2.0 * width
    held = refine_shots([seen], ["distance"], constraints=Constraints(restraints={"distance": (mean, width)})).shots[0]
    assert float(held.sigma) == pytest.approx(width / math.sqrt(2.0), rel=0.02)
    assert float(held.values) == pytest.approx((float(free.values) + mean) / 2.0, abs=0.1 * width)


def test_amplitudes_are_found_with_scales_that_differ_per_shot() -> None:
    """Four quarters of two images show four amplitudes, of which the start has all alike."""
    truth = torch.tensor([0.8, 1.25, 1.0, 1.1], dtype=torch.float64)
    shots = []
    for index, scale in enumerate((1.0, 1.6)):
        begun = scene(TRUE)
        spots = Simulator(begun).run().array * scale
        quarter = (torch.arange(48)[:, None] // 24) * 2 + torch.arange(48)[None, :] // 24
        seen = Observation.of(torch.poisson(spots * truth[quarter] ** 2 + 1.0, generator=rng(40 + index)))
        labels = (seen.pixels[:, 1] // 24) * 2 + seen.pixels[:, 2] // 24
        shots.append(Shot(begun, seen, labels, amplitudes=torch.arange(4)))
    done = refine_shots(shots, own=["fluence"], amplitudes=Amplitudes(4, 0.3))
    assert done.converged
    assert done.amplitudes is not None
    assert done.amplitude_sigma is not None
    # The prior alone tells their common factor from the scale: ratios are what counts say.
    ratio = done.amplitudes / done.amplitudes.prod() ** 0.25
    assert ((ratio - truth / truth.prod() ** 0.25).abs() < 0.03).all()
    assert float((done.shots[1].values / done.shots[0].values)[0]) == pytest.approx(1.6, rel=0.05)
    assert (done.amplitude_sigma > 0.0).all()


def test_images_of_a_sweep_are_one_shot() -> None:
    """Two images of a turning crystal give the start of the spindle back, which one shot has."""
    turning = scene(TRUE)
    width = radians_from_degrees(0.5)
    turns = torch.tensor([0.0, width], dtype=torch.float64)
    true = turning.replace(scan=turning.scan.replace(start=torch.tensor(radians_from_degrees(0.2)).double()))
    seen = [
        Observation.of(
            torch.poisson(
                Simulator(true.replace(scan=true.scan.replace(start=true.scan.start + t))).run().array + 1.0,
                generator=rng(50 + i),
            )
        )
        for i, t in enumerate(turns)
    ]
    values, pixels = torch.cat([s.values for s in seen]), torch.cat([s.pixels for s in seen])
    image = torch.repeat_interleave(torch.arange(2), len(seen[0]))
    done = refine_shots([Shot(turning, Observation(values, pixels), image, image, turns)], ["phi"])
    (found,) = done.shots
    assert done.converged
    assert abs(float(found.values[0]) - radians_from_degrees(0.2)) < 4.0 * float(found.sigma[0])
    assert float(found.sigma[0]) < radians_from_degrees(0.02)


def test_pixels_beside_spots_show_the_background_alone() -> None:
    begun = scene(TRUE)
    whole = shot(begun, begun, 9)
    core = whole.observation.pixels[:, 1] < 24
    half = replace(whole, core=core)
    expected = half.expected(begun)
    assert (expected[~core] == 0.0).all()
    torch.testing.assert_close(expected[core], whole.expected(begun)[core])
    values, slopes = half.jacobian(begun, ["distance"])
    torch.testing.assert_close(values, expected)
    assert (slopes[~core] == 0.0).all()


def test_a_background_without_a_count_stays_positive() -> None:
    """Nothing between the spots, as on a photon-counting detector: a level must not run to zero or below."""
    begun = scene(TRUE)
    seen = Observation.of(torch.poisson(Simulator(begun).run().array, generator=rng(10)))
    done = refine_shots([Shot(begun, seen, seen.pixels[:, 1] // 24)], ["fluence"])
    assert done.converged
    assert (done.shots[0].background > 0.0).all()
    assert (done.shots[0].planes[:, 0] < 0.05).all()


def test_what_nothing_determines_is_named() -> None:
    with pytest.warns(NanobragWarning, match=r"phi\[0\]"):
        refine_shots([shot(scene(TRUE), scene(TRUE), 6)], ["misset", "phi"], schedule=Schedule(5))


def test_refusals() -> None:
    one = shot(scene(TRUE), scene(TRUE), 7)
    with pytest.raises(InputError, match="name each once"):
        refine_shots([one], ["misset"], ["misset"])
    with pytest.raises(InputError, match="not refined"):
        refine_shots([one], ["misset"], constraints=Constraints(fixed=[("distance", 0)]))
    tied = Constraints(tied=[[("distance", 0), ("misset", 0)]])
    with pytest.raises(InputError, match="one per shot"):
        refine_shots([one], ["distance"], ["misset"], constraints=tied)
    for wrong in ({"gain": 0.0}, {"readout": -1.0}, {"zinger": 0.0}):
        with pytest.raises(InputError):
            Noise(**wrong)


def test_planes_are_centred() -> None:
    where = torch.tensor([[0, s, f] for s in (4, 5, 6) for f in (10, 12)])
    design = planes(where, torch.zeros(6, dtype=torch.int64))
    assert design.abs().max() == 1.0
    assert design[:, 1:].sum(0).abs().max() == 0.0


@pytest.mark.parametrize("own", [(), ("distance",)])
def test_a_number_at_its_bound_stays_there_and_is_named(own: tuple[str, ...]) -> None:
    """The truth, 60 mm, lies beyond the bound: the fit ends there, soon and without a warning, shared or not."""
    others = ((20.3, -10.4, 5.2), (50.1, 30.3, -15.2))
    shots = [shot(scene(m), scene((m[0] + 0.1, m[1], m[2]), 59.5), i) for i, m in enumerate(others)]
    shared = [name for name in ("distance",) if name not in own]
    bounds = {"distance": (0.05, 0.0598)}
    done = refine_shots(shots, shared, ["misset", *own], constraints=Constraints(bounds))
    assert done.converged
    assert len(done.losses) < 20
    for one, angles in zip(done.shots, others, strict=True):
        row = one.columns.index(("distance", 0))
        assert one.at_bound.tolist() == [1.0 if i == row else 0.0 for i in range(4)]
        assert float(one.values[row]) == pytest.approx(0.0598, abs=2e-5)
        turned = torch.tensor([radians_from_degrees(x) for x in angles], dtype=torch.float64)
        rows = [one.columns.index(("misset", i)) for i in range(3)]
        torch.testing.assert_close(one.values[rows], turned, atol=2e-3, rtol=0.0)
