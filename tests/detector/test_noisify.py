"""`nb-noisify` beside noisify: every stored case bit for bit, its defects, and what the exact mode makes of them."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch import native, random
from nanobrag_torch.detector import exact, faithful
from nanobrag_torch.detector.chain import Chain
from nanobrag_torch.detector.noisify import main
from nanobrag_torch.random import Purpose

FOLDER = Path(__file__).parents[1] / "golden_data/companions"
CASES = {case["id"]: case for case in json.loads((FOLDER / "cases.json").read_text())}
FLAT = np.full((400, 500), 1e5, dtype=np.float32)


@pytest.fixture
def at_inputs(tmp_path, monkeypatch):
    os.symlink(FOLDER / "inputs", tmp_path / "inputs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_every_stored_case(name, at_inputs, capsys):
    case = CASES[name]
    assert main(case["args"]) == case["status"]
    told = capsys.readouterr()
    assert told.out == case["stdout"]
    if case["status"]:
        assert len(told.err.splitlines()) == 1
        return
    stored = np.load(FOLDER / case["file"])
    for key, file in (("int", "intimage.img"), ("noise", "noiseimage.img")):
        if key not in stored:
            assert not (at_inputs / file).exists()
            continue
        content = (at_inputs / file).read_bytes()
        assert content[:512].decode("latin1").startswith(case[f"{key}_header"])
        assert content[512:] == stored[key].tobytes()
    if "pgm" in stored:
        grey = (at_inputs / "image.pgm").read_bytes()
        assert grey == case["pgm_head"].encode().rstrip() + b"\n" + stored["pgm"].tobytes()


def test_the_python_twin_draws_the_same(monkeypatch):
    photons = np.linspace(0.0, 40.0, 24 * 20, dtype=np.float32).reshape(20, 24)
    chain = Chain(seed=3, calibration_seed=4, flicker=0.02, readout=2.0, gain=1.7)
    by_c = faithful.noise_image(photons, chain)
    monkeypatch.setattr(native, "load", lambda name: None)
    by_python = faithful.noise_image(photons, chain)
    assert np.array_equal(by_c.values, by_python.values)


def pattern_correlation(law):
    """Correlation of two flat fields of one calibration seed and two seeds."""
    images = [law.noise_image(FLAT, Chain(bits=32, seed=seed, calibration_seed=9)).values for seed in (1, 2)]
    return np.corrcoef(*(image.astype(float).ravel() for image in images))[0, 1]


def test_the_calibration_is_a_fixed_pattern_in_the_exact_mode():
    """N01: var(pattern)/(var(pattern) + var(counting)) = 0.03² 10^10/(0.03² 10^10 + 10^5) = 0.98901."""
    assert abs(pattern_correlation(faithful)) < 0.05
    pattern = (0.03 * 1e5) ** 2
    expected = pattern / (pattern + 1e5)
    assert pattern_correlation(exact) == pytest.approx(expected, abs=5 * (1 - expected) / math.sqrt(FLAT.size) + 1e-4)


def test_flicker_is_common_to_a_frame_in_the_exact_mode():
    """N02: the mean over a frame follows one factor; within it only counting noise is left."""
    chain = Chain(bits=32, calibration=0.0, flicker=0.05, adc=0.0)
    frames = [exact.noise_image(FLAT, chain, frame).values.astype(float) for frame in range(40)]
    means = np.array([frame.mean() for frame in frames]) / 1e5 - 1.0
    factors = [float(random.normal(1, chain.seed, frame, Purpose.FLICKER)[0]) for frame in range(40)]
    assert np.allclose(means, 0.05 * np.array(factors), atol=1e-4)
    assert frames[0].var() == pytest.approx(frames[0].mean(), rel=0.02)
    faithful_frame = faithful.noise_image(FLAT, chain).values.astype(float)
    assert faithful_frame.std() == pytest.approx(0.05 * 1e5, rel=0.02)


@pytest.mark.parametrize("spread", ["gauss", "fiber"])
@pytest.mark.parametrize("radius", [0, 6])
def test_the_exact_spread_loses_nothing_inside_and_moves_nothing_elsewhere(spread, radius):
    """N04 to N06: photons far from the edges stay, faint ones are spread, the edge does not wrap."""
    image = np.zeros((81, 121), dtype=np.float32)
    image[40, 60], image[41, 20] = 1000.0, 0.005
    chain = Chain(spread=spread, width=1.5, radius=radius)
    found = exact.spread_image(image, chain).image.astype(float)
    if radius or spread == "gauss":
        assert found.sum() == pytest.approx(image.sum(), rel=1e-6)
    edge = np.zeros((81, 121), dtype=np.float32)
    edge[40, 120] = 1000.0
    spread_edge = exact.spread_image(edge, chain).image
    reach = radius or 8
    assert spread_edge[:, : 120 - 2 * reach].max() < (1e-3 if spread == "gauss" or radius else 1.0)
    kernel = exact.kernel_of(chain, 400, 400)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12 if radius or spread == "gauss" else 5e-3)
    assert kernel.min() >= 0.0


@pytest.mark.parametrize("spread", ["gauss", "fiber"])
@pytest.mark.parametrize("radius", [0, 3, 40])
def test_the_exact_spread_is_the_sum_over_pixels(spread, radius):
    """Brute force, on a frame narrower than the kernel."""
    image = np.random.default_rng(1).poisson(30.0, (9, 14)).astype(np.float32)
    chain = Chain(spread=spread, width=1.7, radius=radius)
    kernel = exact.kernel_of(Chain(spread=spread, width=1.7, radius=min(radius, 14)), 14, 14)
    expected = np.zeros((9, 14))
    for (y, x), value in np.ndenumerate(image):
        expected += value * kernel[14 - y : 14 - y + 9, 14 - x : 14 - x + 14]
    np.testing.assert_allclose(exact.spread_image(image, chain).image, expected, rtol=2e-7)


@pytest.mark.parametrize("spread", ["gauss", "fiber"])
def test_a_kernel_is_its_law_integrated_over_pixels(spread):
    chain = Chain(spread=spread, width=2.0)
    kernel = exact.kernel_of(chain, 3, 3)
    steps = (np.arange(400) + 0.5) / 400 - 0.5
    x, y = np.meshgrid(steps + 2.0, steps - 1.0)
    square = x * x + y * y
    w, g = 2.0, 0.652383013252053 * 2.0
    if spread == "gauss":
        law = math.log(16) / (math.pi * w * w) * np.exp(-math.log(16) * square / (w * w))
    else:
        law = g / (2 * math.pi * (g * g + square) ** 1.5)
    assert kernel[2, 5] == pytest.approx(law.mean(), rel=1e-5)


def test_mean_and_variance_of_the_exact_chain():
    """Within four standard errors of their closed forms over 10^6 pixels."""
    photons = np.full((1000, 1000), 60.0, dtype=np.float32)
    chain = Chain(gain=2.0, adc=10.0, readout=3.0, calibration=0.03, calibration_seed=4, seed=11, bits=32)
    values = exact.noise_image(photons, chain).values.astype(float) + 0.5  # truncated towards zero
    variance = 4.0 * (60.0 + (0.03 * 60.0) ** 2) + 9.0 + 1.0 / 12.0
    count = values.size
    assert abs(values.mean() - 130.0) <= 4 * math.sqrt(variance / count)
    assert abs(values.var() - variance) <= 4 * variance * math.sqrt(2.05 / count)


@pytest.mark.parametrize("mean", [0.02, 3.0, 9.9, 10.1, 300.0, 1e6])
def test_counts_have_the_mean_and_variance_of_a_poisson_law(mean):
    drawn = random.poisson(np.full(10**6, mean), 3, 0, Purpose.PHOTONS)
    assert abs(drawn.mean() - mean) <= 4 * math.sqrt(mean / 1e6)
    assert abs(drawn.var() - mean) <= 4 * math.sqrt((mean + 2 * mean * mean) / 1e6)


def test_known_answers_of_the_generator():
    """Those published with the algorithm (Random123, kat_vectors)."""
    answers = {
        (0, 0, 0, 0, 0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        (0xFFFFFFFF,) * 6: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0): (
            0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
        ),
    }  # fmt: skip
    for (*counter, k0, k1), words in answers.items():
        assert tuple(random.philox_words(np.array([counter], dtype=np.uint64), (k0, k1))[0].tolist()) == words


def test_numbers_belong_to_their_pixels():
    """The same for threads, pieces and both implementations; other purposes, frames and seeds are others."""
    means = np.concatenate([np.exp(np.linspace(-3.0, 9.0, 20_000)), [-1.0, 0.0, 1e6, 3e15, 11.999999, 12.0]])
    whole = random.poisson(means, 5, 2, Purpose.PHOTONS, threads=1)
    assert np.array_equal(whole, random.poisson(means, 5, 2, Purpose.PHOTONS, threads=3))
    for start in (700, 701, 703):
        part = random.poisson(means[start : start + 200], 5, 2, Purpose.PHOTONS, first=start)
        assert np.array_equal(whole[start : start + 200], part)
        alone = random.poisson_in_numpy(means[start : start + 200], 5, 2, Purpose.PHOTONS, start)
        assert np.array_equal(part, alone)
    assert np.array_equal(whole, random.poisson_in_numpy(means, 5, 2, Purpose.PHOTONS))
    for first in (0, 701):
        truth = random.uniforms(5, 2, Purpose.DEFECTS, np.arange(first, first + 1000))[0]
        for threads in (1, 3):
            assert np.array_equal(random.uniform(1000, 5, 2, Purpose.DEFECTS, first=first, threads=threads), truth)
    normal = random.normal(100, 5, 2, Purpose.READOUT)
    u, v = random.uniforms(5, 2, Purpose.READOUT, np.arange(100))
    assert np.allclose(normal, np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v), rtol=1e-14, atol=1e-14)
    for other in ((6, 2, 2), (5, 3, 2), (5, 2 + 2**32, 2), (5, 2, 3)):
        assert not np.array_equal(normal, random.normal(100, *other))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-floatfile", "none.bin"], "none.bin"),
        (["-seed", "1"], "-floatfile: there is no input"),
        (["-floatfile", "inputs/flat_24x24.bin", "-bits", "8"], "-bits"),
        (["-floatfile", "inputs/flat_24x24.bin", "-gain", "-1"], "-gain"),
        (["-floatfile", "inputs/flat_24x24.bin", "-gain"], "its value is missing"),
        (["-floatfile", "inputs/flat_24x24.bin", "-readout", "x"], "not a number"),
        (["-floatfile", "inputs/flat_24x24.bin", "-detpixels", "25"], "576 pixels"),
        (["-floatfile", "inputs/flat_24x24.bin", "-flickr", "1"], "did you mean -flicker"),
        (["-floatfile", "inputs/flat_24x24.bin", "-intfile", "inputs/flat_24x24.bin"], "-intfile"),
        (["-floatfile", "inputs/flat_24x24.bin", "-physics", "exact", "-detsize", "7"], "N03"),
        (["-floatfile", "inputs/header_64x64.img", "-seed", "1", "-detpixels_x", "7"], "pixel"),
    ],
)
def test_bad_input_is_one_line(words, message, at_inputs, capsys):
    assert main(words) == 9
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert message in told.err
    assert [path.name for path in at_inputs.iterdir()] == ["inputs"]
