"""The detector pipeline against closed forms, over 10^6 pixels and within four standard errors."""

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.detector import exact, stages
from nanobrag_torch.detector.chain import Chain
from nanobrag_torch.detector.model import BeamStop, DetectorResponse, Sensor, response_from
from nanobrag_torch.detector.record import record
from nanobrag_torch.errors import InputError
from nanobrag_torch.materials.sensors import sensor_attenuation
from nanobrag_torch.physics.sensor import efficiency, parallax, stop_transmission

SIZE = 1000
EVERYTHING = DetectorResponse(
    sensor=Sensor("CdTe", 750.0, 0.7, 60.0, 0.2, 20.0, 17.0), stop=BeamStop(20.0, 17.0, 5.0, 0.7, 0.02), flicker=0.02,
    calibration=0.03, sharing=0.2, dead_time_ns=150.0, exposure_s=1e-4, gain=1.3, readout=2.0, adc=11.0, bits=12,
    dead=0.01, hot=0.01, gaps=((8, 11, 0, 30),),
)  # fmt: skip
LIGHT = DetectorResponse(calibration=0.03, spread="fiber", width=1.5, gain=1.7, readout=3.0, adc=40.0, bits=16)


def flat(mean, size=SIZE):
    return np.full((size, size), float(mean))


def assert_moments(values, mean, variance, spare=0.0):
    """Mean and variance within four standard errors; of the latter by the measured fourth moment."""
    values = np.asarray(values, dtype=np.float64).ravel()
    centred = values - values.mean()
    found, error = (centred**2).mean(), math.sqrt(max((centred**4).mean() - (centred**2).mean() ** 2, 0) / len(values))
    assert abs(values.mean() - mean) < 4 * math.sqrt(found / len(values))
    assert variance - 4 * error <= found <= variance + spare + 4 * error


@pytest.mark.parametrize("mean", [0.03, 3.0, 40.0, 2000.0])
def test_counting_is_poissonian(mean):
    assert_moments(record(flat(mean), DetectorResponse()).counts, mean, mean)


def test_gain_offset_and_read_out():
    model = DetectorResponse(gain=2.5, adc=100.0, readout=7.0)
    assert_moments(record(flat(50), model).counts, 225, 2.5**2 * 50 + 49 + 1 / 12)


def test_calibration_is_fixed_and_has_its_variance():
    model = DetectorResponse(calibration=0.05)
    first, second = (record(flat(1000), model, frame).counts.astype(float).ravel() for frame in (0, 1))
    assert_moments(first, 1000, 1000 + 50.0**2)
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(2500 / 3500, abs=4 / SIZE)


def test_flicker_is_common_to_a_frame():
    model = DetectorResponse(flicker=0.1)
    means = [float(stages.expected(torch.full((2, 2), 1.0), model, frame)[0, 0]) for frame in range(4000)]
    assert_moments(means, 1.0, 0.01)
    image = record(flat(500), model, 3).counts
    assert_moments(image, 500 * means[3], 500 * means[3])


def test_charge_sharing_counts_twice():
    p, mean = 0.3, 5.0
    counts = record(flat(mean), DetectorResponse(sharing=p)).counts.astype(float)
    inside = counts[1:-1, 1:-1]
    assert_moments(inside[::2, ::2], mean * (1 + p), mean * (1 + p))
    variance = mean * (1 + p)
    error = 4 * variance / SIZE * 1.5
    for neighbour in (counts[1:-1, 2:], counts[2:, 1:-1]):
        assert np.mean((inside - variance) * (neighbour - variance)) == pytest.approx(mean * p / 2, abs=error)
    assert np.mean((counts[:-1, :-1] - variance) * (counts[1:, 1:] - variance)) == pytest.approx(0, abs=error)


def test_charge_shared_over_the_edge_of_the_frame_counts_once():
    p, mean, draws = 0.4, 5.0, 20000
    sums = [record(np.full((2, 2), mean), DetectorResponse(sharing=p), frame).counts for frame in range(draws)]
    expected = mean * (1 - p) + mean * p + 2 * mean * p / 4  # its own, and what two neighbours share
    for corner in np.reshape(sums, (draws, 4)).T:
        assert_moments(corner, expected, expected)


@pytest.mark.parametrize("law", ["paralyzable", "nonparalyzable"])
@pytest.mark.parametrize("x", [0.02, 0.3, 1.2])
def test_dead_time_against_arrivals_one_by_one(law, x):
    """Photons at random times, counted by the definition of the dead time."""
    mean, pixels = 400, 20000
    model = DetectorResponse(dead_time_ns=1e9 * x / mean, exposure_s=1.0, dead_time_law=law)
    rng, found = np.random.default_rng(7), []
    for _ in range(pixels // 1000):
        gaps = rng.exponential(1 / mean, (1000, 2 * mean + 200))
        times = np.cumsum(gaps, axis=1)
        assert times[:, -1].min() > 1
        if law == "paralyzable":
            alive = gaps > x / mean
        else:
            alive, free = np.zeros(gaps.shape, dtype=bool), np.zeros(1000)
            for i in range(gaps.shape[1]):
                alive[:, i] = times[:, i] >= free
                free = np.where(alive[:, i], times[:, i] + x / mean, free)
        found.append((alive & (times < 1)).sum(axis=1))
    brute = np.concatenate(found).astype(float)
    mean_law, variance = stages.dead_time_moments(np.array([float(mean)]), model)
    assert brute.mean() == pytest.approx(mean_law[0], abs=1.0 + 4 * brute.std() / math.sqrt(pixels))  # edges: one count
    assert brute.var() == pytest.approx(variance[0], rel=0.05)
    assert_moments(record(flat(mean), model).counts, mean_law[0], variance[0], spare=0.25)


@pytest.mark.parametrize("law", ["gauss", "fiber"])
def test_spread_has_the_autocorrelation_of_its_law(law):
    model = DetectorResponse(spread=law, width=2.0, gain=1000.0, bits=31)
    first, second = (record(flat(1000), model, frame).counts[100:-100, 100:-100] / 1000.0 for frame in (0, 1))
    power = np.abs(np.fft.fft2((first - second) / math.sqrt(2))) ** 2  # light lost at the edges cancels
    measured = np.fft.ifft2(power).real / power.size
    kernel = exact.kernel_of(Chain(spread=law, width=2.0), 399, 399)
    size = len(kernel) * 2
    theory = np.fft.irfft2(np.abs(np.fft.rfft2(kernel, (size, size))) ** 2)
    for lag in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 3)):
        error = 4 * 1000 * math.sqrt((theory**2).sum()) * math.sqrt(2) / 800
        assert measured[lag] == pytest.approx(1000 * theory[lag], abs=error)


@pytest.mark.parametrize("law", ["gauss", "fiber"])
def test_a_spread_point_is_its_law(law):
    """The autocorrelation of a spread point, without noise, by closed forms for a width of many pixels."""
    point = np.zeros((401, 401))
    point[200, 200] = 1e6
    values = stages.spread(point, DetectorResponse(spread=law, width=10.0)) / 1e6
    size = 801
    found = np.fft.irfft2(np.abs(np.fft.rfft2(values, (size, size))) ** 2, (size, size))
    if law == "gauss":
        variance = 2 * (100 / (8 * math.log(2)) + 1 / 12)  # of two Gaussians over two pixels

        def theory(lag):
            return math.exp(-(lag**2) / (2 * variance))
    else:
        g = 2 * 0.652383013252053 * 10.0  # light of a taper spread again is that of one twice as wide

        u = np.linspace(-1, 1, 201)
        two_pixels = np.outer(1 - abs(u), 1 - abs(u)) / 1e4

        def law_at(lag):
            return float((two_pixels * (1 + ((lag + u)[None, :] ** 2 + u[:, None] ** 2) / g**2) ** -1.5).sum())

        def theory(lag):
            return law_at(lag) / law_at(0)

    for lag in (1, 4, 8, 12):
        assert found[0, lag] / found[0, 0] == pytest.approx(theory(lag), abs=1e-3)


XRAYDB = {
    "Si": (33968.05, 14600.48, 4072.098, 1316.719, 477.6118, 109.1542),
    "CdTe": (306787.4, 141579.9, 44042.75, 15791.27, 6289.097, 10966.66),
    "GaAs": (79569.11, 35268.18, 79404.13, 29684.64, 11971.17, 3135.346),
}
"""Photoabsorption, 1/m, at `ENERGIES`: material_mu(..., kind="photo") of xraydb 4.5.8 (Elam, Ravel & Sieber, 2002)."""
ENERGIES = (6000.0, 8048.0, 12398.42, 17997.0, 25000.0, 40000.0)
"""eV; the edges of Ga, As, Cd and Te lie between them."""


@pytest.mark.parametrize("material", XRAYDB)
def test_attenuation_agrees_with_a_table_of_others(material):
    """Cromer and Liberman's f'' and Elam's cross sections are two sources, 3 % apart at most here."""
    found = [sensor_attenuation(material, 12398.42 / energy) for energy in ENERGIES]
    np.testing.assert_allclose(found, XRAYDB[material], rtol=0.03)


def test_parallax_moves_by_the_mean_depth():
    mu, thickness, slope = 3000.0, 4e-4, 9000.0
    point = torch.zeros(1, 21, dtype=torch.float64)
    point[0, 5] = 1.0
    zero = torch.zeros_like(point)
    found = parallax(point, zero + mu, torch.tensor(thickness, dtype=torch.float64), (zero + slope, zero))
    moved = float((found[0] * torch.arange(21)).sum()) - 5
    depth = 1 / mu - thickness / math.expm1(mu * thickness)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)
    assert moved == pytest.approx(slope * depth, rel=1e-10)


def test_parallax_against_rays():
    """A million rays, drawn one by one."""
    mu, thickness, slopes = 5000.0, 3e-4, (4000.0, -2500.0)
    rng = np.random.default_rng(3)
    depth = -np.log1p(-rng.random(10**6) * -math.expm1(-mu * thickness)) / mu
    f, s = (np.floor(5 + rng.random(10**6) + slope * depth).astype(int) for slope in slopes)
    drawn = np.zeros((11, 11))
    np.add.at(drawn, (s, f), 1e-6)
    point = torch.zeros(11, 11, dtype=torch.float64)
    point[5, 5] = 1.0
    zero = torch.zeros_like(point)
    thick = torch.tensor(thickness, dtype=torch.float64)
    found = parallax(point, zero + mu, thick, (zero + slopes[0], zero + slopes[1])).numpy()
    assert np.abs(found - drawn).max() < 4 * 0.5e-3 + 1e-3  # the quadrature crosses pixel edges between its points


def test_efficiency_by_angle():
    sensor = Sensor("Si", 320.0, 1.0, 50.0, 1.0, 0.5, 0.5, parallax=False)
    found = stages.absorbed(torch.ones(2, 61, dtype=torch.float64), sensor)
    mu = sensor_attenuation("Si", 1.0)
    for f in (0, 20, 60):
        path = 320e-6 * math.hypot(f, 50) / 50
        assert float(found[0, f]) == pytest.approx(1 - math.exp(-mu * path), rel=1e-12)


def test_gradients_before_the_counting():
    def tensor(*values):
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    photons = torch.rand(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    mu, t = tensor(4000.0)[0], tensor(3e-4)[0]
    slopes = tuple((torch.full((4, 5), x, dtype=torch.float64)).requires_grad_() for x in (1234.0, -777.0))

    def way(photons, mu, t, f, s):
        return parallax(photons, mu.expand(4, 5), t, (f, s))

    def scaled(p, m, t, f, s):
        return way(p, 1e3 * m, 1e-4 * t, 1e3 * f, 1e3 * s)

    inputs = [
        photons,
        *(x.detach().clone().requires_grad_() for x in (mu / 1e3, t / 1e-4, slopes[0] / 1e3, slopes[1] / 1e3)),
    ]
    assert torch.autograd.gradcheck(scaled, inputs)
    assert torch.autograd.gradcheck(efficiency, (tensor(2.0), tensor(0.4), tensor(0.8)))
    assert torch.autograd.gradcheck(stop_transmission, (tensor(0.5, 3.0, 9.0), tensor(3.0), tensor(0.8), tensor(0.1)))
    model = DetectorResponse(sensor=EVERYTHING.sensor, stop=EVERYTHING.stop, flicker=0.1, calibration=0.1)
    assert torch.autograd.gradcheck(lambda p: stages.expected(p, model), photons)


@pytest.mark.parametrize("model", [EVERYTHING, LIGHT, DetectorResponse()], ids=["everything", "light", "photons"])
def test_rows_and_threads_change_nothing(model, monkeypatch):
    photons = np.random.default_rng(1).gamma(2.0, 30.0, (31, 40))
    whole = record(photons, model, 5)
    pieces = [record(photons, model, 5, rows).counts for rows in ((0, 1), (1, 13), (13, 31))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.counts)
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            monkeypatch.setattr("nanobrag_torch.random.processors", lambda count=count: count)
            np.testing.assert_array_equal(record(photons, model, 5).counts, whole.counts)
    finally:
        torch.set_num_threads(before)
    assert (record(photons, model, 6).counts != whole.counts).mean() > 0.3


def test_defects_and_overloads():
    model = DetectorResponse(bits=8, dead=0.02, hot=0.01, gaps=((3, 5, 0, 9),))
    found = record(flat(1000, 500), model)
    assert (found.counts[:10, 3:6] == -1).all()
    assert (found.counts[found.mask == stages.DEAD] == 0).all()
    assert found.counts[found.mask != stages.GAP].max() == 255
    assert found.overloads == (found.mask == stages.GOOD).sum()
    for what, share in ((stages.DEAD, 0.02), (stages.HOT, 0.01)):
        assert (found.mask == what).mean() == pytest.approx(share, abs=4 * math.sqrt(share) / 500)
    one, other = (record(flat(1, 500), DetectorResponse(dead=0.02, seed=seed)).mask for seed in (1, 9))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"sensor": {"material": "Pb"}}, "sensor.material"),
        ({"sensor": {"thickness_um": -1.0}}, "sensor.thickness_um"),
        ({"width": -2.0}, "width"),
        ({"spread": "box"}, "spread"),
        ({"spread": "gauss", "sharing": 0.1}, "spread"),
        ({"bits": 40}, "bits"),
        ({"bits": 8.5}, "bits"),
        ({"dead": 0.7, "hot": 0.7}, "hot"),
        ({"colour": 1}, "colour"),
        ({"gaps": [[1, 2]]}, "gaps"),
        ({"stop": {"f": 1.0}}, "stop"),
        ({"gain": "high"}, "gain"),
        ({"readout": float("nan")}, "readout"),
    ],
)
def test_what_cannot_be_is_refused(table, field):
    with pytest.raises(InputError) as caught:
        response_from(table)
    assert caught.value.field == field
    assert caught.value.advice
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_the_frame_is_refused():
    with pytest.raises(InputError, match="wider than the frame"):
        record(flat(1, 10), DetectorResponse(spread="gauss", width=11.0))
    with pytest.raises(InputError, match="beyond the frame"):
        record(flat(1, 10), DetectorResponse(gaps=((0, 10, 0, 1),)))
    with pytest.raises(InputError, match="negative"):
        record(-flat(1, 10), DetectorResponse())
    with pytest.raises(InputError, match="rows"):
        record(flat(1, 10), DetectorResponse(), rows=(3, 11))
