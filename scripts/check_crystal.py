"""Measure backgrounds, disorder and colour against truths of their own, and what they cost, into reports/crystal.md.

    python scripts/check_crystal.py [--report reports/crystal.md] [--pairs 7]

Every row has a bound; status 1 if one is missed. Times are medians of ratios of CPU
times, the two sides taken in turn on one thread.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig, Simulator, settle
from nanobrag_torch.config import Amorphous, BackgroundConfig, OtherLattice, PathConfig
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.io.spectrum import read_spectrum
from nanobrag_torch.materials.ready import ice_rings
from nanobrag_torch.models import Experiment
from nanobrag_torch.physics.diffuse import diffuse_forms
from nanobrag_torch.pipeline.render import RenderOptions, orientation_sum, pixel_scene

R_E2, N_A = 7.94079248018965e-30, 6.02214179e23
CELL = {"cell_a": 45.0, "cell_b": 52.0, "cell_c": 61.0, "cell_alpha": 85.0, "cell_beta": 97.0, "cell_gamma": 104.0}
SCENE = Config(
    crystal=CrystalConfig(**CELL, misset_deg=(11.0, -23.0, 34.0), Na=6, Nb=5, Nc=4, default_F=100.0),
    beam=BeamConfig(wavelength_A=1.1, fluence=1e28),
    detector=DetectorConfig(pixels_f=30, pixels_s=30, pixel_mm=1.2, distance_mm=60.0),
    sampling=SamplingConfig(oversample=1),
)
SELENIUM = """CRYST1   30.000   35.000   40.000  90.00  95.00  90.00 P 1
ATOM      1  N   ALA A   1       1.000   2.000   3.000  1.00 10.00           N
ATOM      2  C   ALA A   1       9.900  13.900  23.500  0.60 14.00           C
HETATM    3 SE   MSE A   2      12.000  15.000  20.000  1.00  8.00          SE
HETATM    4 SE   MSE A   3       2.000  25.000  10.000  0.80  8.00          SE
END
"""
Rows = list[tuple[str, str, float, float]]


def crystal(**said: object) -> Config:
    return replace(SCENE, crystal=replace(SCENE.crystal, **said))


def values(scene: Config | Experiment) -> np.ndarray:
    experiment = settle(scene) if isinstance(scene, Config) else scene
    return np.asarray(Simulator(experiment).run().array)


def relative(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def backgrounds() -> Rows:
    """Pixels of ice and of a material by Gauss-Legendre quadrature of the written-out geometry."""
    base = Config(
        crystal=CrystalConfig(cell_a=50.0, default_F=1e-9),
        beam=BeamConfig(wavelength_A=1.0, fluence=1e20, beamsize_mm=0.02, polarization_factor=0.7),
        detector=DetectorConfig(pixels_f=300, pixels_s=20, pixel_mm=0.05, distance_mm=20.0),
        sampling=SamplingConfig(oversample=32, roi=(230, 299, 10, 10)),
    )
    radii, strengths, volume = ice_rings(0.6)
    sigma = 0.03 / math.sqrt(8 * math.log(2))
    s = np.linspace(0, 1, 2001)
    table = np.stack([s, 3 * np.exp(-2 * s**2) + 1], axis=1)

    def ice(stol: np.ndarray, p: np.ndarray) -> np.ndarray:
        z = (2 * stol[..., None] - radii) / sigma
        profile = np.exp(-0.5 * z**2) / (sigma * math.sqrt(2 * math.pi)) * radii / (2 * stol[..., None])
        return 7e-6 * 1e30 / volume * p * (strengths * profile).sum(-1)

    def liquid(stol: np.ndarray, p: np.ndarray) -> np.ndarray:
        return 0.2e-3 * 0.93e6 * N_A / 18.0 * p * (3 * np.exp(-2 * stol**2) + 1) ** 2

    rows: Rows = []
    said = {
        "ice rings": (BackgroundConfig(ice_um=7.0, ice_width_invA=0.03), ice),
        "amorphous material": (BackgroundConfig(materials=(Amorphous(table, 0.2, 0.93, 18.0),)), liquid),
    }
    for name, (background, law) in said.items():
        scene = settle(replace(base, background=background))
        truth = np.array([quadrature(scene, 10, fast, law) for fast in range(230, 300)])
        worst = np.abs(values(scene)[10, 230:] - truth).max() / truth.max()
        rows.append((f"background: {name}, photons per pixel", "numerical integration", float(worst), 1e-6))
    return rows


def quadrature(scene: Experiment, slow: int, fast: int, law: Callable[..., np.ndarray]) -> float:
    panel, pixel = scene.detector.panel, float(scene.detector.panel.pixel_size)
    x, w = np.polynomial.legendre.leggauss(8)
    f = (fast + 0.5 + 0.5 * x) * pixel - float(panel.beam_centre[0])
    s = (slow + 0.5 + 0.5 * x) * pixel - float(panel.beam_centre[1])
    F, S = np.meshgrid(f, s)
    length = np.sqrt(0.02**2 + F**2 + S**2)
    cosine = 0.02 / length
    p = 0.5 * (1 + cosine**2 - 0.7 * ((F / length) ** 2 - (S / length) ** 2))
    omega = pixel**2 * 0.02 / length**3
    photons = 1e20 * (0.02e-3) ** 2
    return float(R_E2 * photons * (np.outer(w, w) / 4 * omega * law(np.sqrt((1 - cosine) / 2), p)).sum())


def frame() -> np.ndarray:
    a, b, _ = pixel_scene(settle(SCENE), 0).A[0].numpy()
    e1, e3 = a / np.linalg.norm(a), np.cross(a, b) / np.linalg.norm(np.cross(a, b))
    return np.stack([e1, np.cross(e3, e1), e3])


def mosaicity() -> tuple[Rows, list[str]]:
    generator = np.random.default_rng(11)
    spread = (1.5, 0.3, 0.8)
    vectors = np.radians(spread) * generator.normal(size=(60000, 3)) @ frame()
    truth = values(crystal(orientations=np.degrees(vectors)))
    found = values(crystal(mosaic_abc_deg=spread, mosaic_domains=250))
    rows: Rows = [
        ("mosaic spread 1.5 0.3 0.8 degrees, 250 even domains", "60,000 random domains", relative(found, truth), 0.04),
        (
            "three equal spreads",
            "the isotropic law",
            float(
                np.abs(
                    values(crystal(mosaic_abc_deg=(0.7,) * 3))
                    - values(crystal(mosaic_law="gauss", mosaic_spread_deg=0.7))
                ).max()
            ),
            0.0,
        ),
        (
            "no spread",
            "the ideal crystal",
            float(np.abs(values(crystal(mosaic_abc_deg=(0.0,) * 3)) - values(SCENE)).max()),
            0.0,
        ),
    ]
    lines = [
        "| spread (degrees) | 20 even | 50 even | 200 even | 20 random | 200 random |",
        "|---|---|---|---|---|---|",
    ]
    for width in (0.1, 0.2, 0.3, 0.5, 1.0):
        truth = values(crystal(orientations=width * generator.normal(size=(40000, 3))))
        even = [relative(values(crystal(mosaic_abc_deg=(width,) * 3, mosaic_domains=n)), truth) for n in (20, 50, 200)]
        random = [
            statistics.median(
                relative(values(crystal(orientations=width * generator.normal(size=(n, 3)))), truth) for _ in range(5)
            )
            for n in (20, 200)
        ]
        lines.append(f"| {width} | " + " | ".join(f"{x:.4f}" for x in (*even, *random)) + " |")
        if width <= 0.3:
            rows.append((f"20 even domains, spread {width}", "200 random domains", even[0] / random[1], 1.25))
        rows.append((f"50 even domains, spread {width}", "200 random domains", even[1] / random[1], 1.0))
    return rows, lines


def sizes() -> Rows:
    """Matrix N against the real-space sum of a crystal of cells with Gaussian weights."""
    scene = settle(crystal(shape="gauss", Na=6, Nb=7, Nc=8, N_off=(1.0, -0.5, 1.5), default_F=1.0))
    N = np.array([[6.0, 1.0, -0.5], [1.0, 7.0, 1.5], [-0.5, 1.5, 8.0]])
    core = pixel_scene(scene, 0)
    h = np.array([2.0, -1.0, 3.0]) + np.random.default_rng(2).uniform(-0.12, 0.12, size=(60, 3))
    found = orientation_sum(core, real(h @ np.linalg.inv(core.A[0].numpy()).T), RenderOptions()).numpy()
    reach = np.arange(-13, 14)
    n = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    inverse = np.linalg.inv(N @ N / (0.63 * 2 * math.pi**2))
    weight = np.exp(-0.5 * np.einsum("ni,ij,nj->n", n, inverse, n))
    weight *= np.linalg.det(N) / weight.sum()
    brute = np.abs(np.exp(2j * np.pi * h @ n.T) @ weight) ** 2
    plain, zeros = (values(crystal(shape="gauss", **said)) for said in ({}, {"N_off": (0.0, 0.0, 0.0)}))
    worst = float(np.abs(found - brute).max() / np.linalg.det(N) ** 2)
    return [
        ("matrix N, L² over its peak", "real-space sum over 19,683 cells", worst, 1e-7),
        ("diagonal matrix N", "the gaussian shape", float(np.abs(plain - zeros).max() / plain.max()), 1e-13),
    ]


def diffuse() -> Rows:
    cell = np.array([[9.0, 0.0, 0.0], [0.5, 10.0, 0.0], [-0.7, 0.4, 11.0]])
    sigma, gamma = np.array([0.5, 0.3, 0.4]), np.array([18.0, 25.0, 20.0])
    generator = np.random.default_rng(1)

    def alike(r: np.ndarray) -> np.ndarray:
        return np.exp(-np.sqrt((((r @ cell) / gamma) ** 2).sum(-1)))

    n = np.array(list(itertools.product(range(6), repeat=3)))
    root = np.linalg.cholesky(alike(n[:, None] - n[None]) + 1e-12 * np.eye(len(n)))
    h = np.array([2.0, 1.0, -1.0]) + generator.uniform(-0.3, 0.3, (12, 3))
    S = h @ np.linalg.inv(cell).T
    draws = []
    for _ in range(2000):
        u = sigma * (root @ generator.normal(size=(len(n), 3)))
        draws.append(np.abs(np.exp(2j * np.pi * S @ (n @ cell + u).T).sum(1)) ** 2)
    mean, error = np.mean(draws, axis=0), np.std(draws, axis=0) / math.sqrt(len(draws))
    r = np.array(list(itertools.product(range(-5, 6), repeat=3)))
    X = 4 * np.pi**2 * ((S * sigma) ** 2).sum(-1)
    pairs = (np.prod(6 - np.abs(r), axis=1) * np.cos(2 * np.pi * h @ r.T) * np.exp(-X[:, None] * (1 - alike(r)))).sum(1)
    rows: Rows = [
        (
            "sum over pairs of 6³ cells, in standard errors",
            "2,000 crystals of displaced cells",
            float(np.abs((mean - pairs) / error).max()),
            4.0,
        )
    ]
    near = np.array([2.0, 1.0, -1.0]) + generator.uniform(-0.1, 0.1, (20, 3))
    r = np.array(list(itertools.product(range(-34, 35), repeat=3)))
    S = near @ np.linalg.inv(cell).T
    X = 4 * np.pi**2 * ((S * 0.05) ** 2).sum(-1)
    brute = X * (alike(r) * np.cos(2 * np.pi * near @ r.T)).sum(1)
    one = torch.eye(3, dtype=torch.float64)
    forms = diffuse_forms(real(np.linalg.inv(cell).T), one, real([0.05] * 3), real(gamma), one[None], real(1.0))
    delta = near - np.ceil(near - 0.5)
    Y = np.einsum("pi,ij,pj->p", delta, forms.correlation[0].numpy(), delta)
    law = float(forms.scale) * X / (1 + Y) ** 2
    rows.append(
        ("law per cell within a tenth of a node", "sum over 328,509 pairs", float(np.abs(law / brute - 1).max()), 0.02)
    )
    still = crystal(diffuse_sigma_A=(0.0,) * 3, diffuse_gamma_A=(50.0,) * 3)
    rows.append(("no displacement", "the ideal crystal", float(np.abs(values(still) - values(SCENE)).max()), 0.0))
    return rows


def edge(folder: Path, pairs: int) -> tuple[Rows, list[str]]:
    """200 channels across the selenium edge."""
    (folder / "se.pdb").write_text(SELENIUM)
    energies = np.linspace(12638.0, 12678.0, 200)
    weights = 1 + np.exp(-(((energies - 12658.0) / 8) ** 2))
    np.savetxt(folder / "se.txt", np.stack([energies, weights], 1), header="eV weight", fmt="%.17g")

    def scene(spectrum: bool, merge: float | None = None, wavelength: float | None = None) -> Experiment:
        said = {"model_file": str(folder / "se.pdb"), "model_dmin_A": 1.9, "interpolate": False}
        said |= {"Na": 8, "Nb": 8, "Nc": 8, "misset_deg": (10.0, 20.0, 30.0), "model_energies": spectrum}
        beam = {"spectrum_file": str(folder / "se.txt") if spectrum else None, "spectrum_merge": merge}
        return settle(
            Config(
                crystal=CrystalConfig(**said),
                beam=BeamConfig(**beam, wavelength_A=wavelength, fluence=1e30),
                detector=DetectorConfig(pixels_f=600, pixels_s=600, pixel_mm=0.1, distance_mm=60.0),
                sampling=SamplingConfig(oversample=1),
            )
        )

    spectrum = read_spectrum(folder / "se.txt")
    mono = sum(
        w * values(scene(False, wavelength=float(x)))
        for x, w in zip(spectrum.wavelengths, spectrum.weights, strict=True)
    )
    whole = values(scene(True))
    rows: Rows = [
        (
            "200 channels, each with its own F",
            "200 monochromatic renders",
            float(np.abs(whole - mono).max() / mono.max()),
            1e-12,
        )
    ]
    lines = [
        "| bound | channels drawn | error / peak of the image | cost / monochromatic render |",
        "|---|---|---|---|",
    ]
    single = Simulator(scene(False, wavelength=float(spectrum.mean)))
    for bound in (1e-3, 1e-2, 5e-2):
        merged = scene(True, merge=bound)
        error = float(np.abs(values(merged) - mono).max() / mono.max())
        cost = ratio(Simulator(merged).run, single.run, pairs)
        lines.append(f"| {bound:g} | {merged.beam.sources} | {error:.2g} | {cost:.2f} |")
        rows.append((f"channels merged to {bound:g} of a peak", "200 monochromatic renders", error, bound))
        if bound == 5e-2:
            rows.append(("cost of 200 channels merged to 0.05", "one monochromatic render", cost, 5.0))
    return rows, lines


def ratio(one: Callable[[], object], other: Callable[[], object], pairs: int) -> float:
    """The median of the ratios of times, taken in turn."""
    one(), other()
    found = []
    for _ in range(pairs):
        start = time.process_time()
        one()
        middle = time.process_time()
        other()
        found.append((middle - start) / (time.process_time() - middle))
    return statistics.median(found)


def costs(pairs: int) -> Rows:
    """Beside the same scene without it; 1000 x 1000 pixels."""
    large = replace(SCENE, detector=DetectorConfig(pixels_f=1000, pixels_s=1000, pixel_mm=0.1, distance_mm=60.0))

    def cost(name: str, bound: float, first: dict[str, object], second: dict[str, object], **parts: object) -> Rows:
        one, two = (replace(large, crystal=replace(large.crystal, **said)) for said in (first, second))
        runs = [Simulator(settle(scene)).run for scene in (replace(one, **parts), two)]
        return [(f"time: {name}", "the same scene without", ratio(*runs, pairs), bound)]

    moved = {"diffuse_sigma_A": (0.4, 0.2, 0.3), "diffuse_gamma_A": (90.0, 70.0, 110.0)}
    domains = {"mosaic_spread_deg": 0.5, "mosaic_domains": 10}
    table = np.array([[0.0, 2.57], [0.2, 4.0], [0.6, 1.0]])
    slab = BackgroundConfig(materials=(Amorphous(table, 0.1, 1.0, 18.0),))
    box = PathConfig(sample_mu_invmm=1.0, sample_form="box", sample_form_mm=(0.1, 0.2, 0.3))
    return [
        *cost("anisotropic mosaicity", 1.1, {"mosaic_abc_deg": (0.5, 0.1, 0.2), "mosaic_domains": 10}, domains),
        *cost("matrix N", 1.1, {"shape": "gauss", "N_off": (1.0, 0.5, -0.5)}, {"shape": "gauss"}),
        *cost("diffuse scattering, one orientation", 2.0, moved, {}),
        *cost("diffuse scattering, ten domains", 2.0, {**moved, **domains}, domains),
        *cost("a twin", 2.5, {"lattices": (OtherLattice(0.3, law="-h,-k,l"),)}, {}),
        *cost("five block sizes", 6.0, {"block_spread": 0.2}, {}),
        *cost("amorphous background", math.inf, {}, {}, background=slab),
        *cost("air", math.inf, {}, {}, path=PathConfig(air_mu_invm=1.0)),
        *cost("absorption in a box", math.inf, {}, {}, path=box),
    ]


def main() -> int:
    """Measure, write the report, and say what missed its bound."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, default=Path("reports/crystal.md"))
    parser.add_argument("--pairs", type=int, default=7)
    given = parser.parse_args()
    warnings.simplefilter("ignore", NanobragWarning)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        domain_rows, domain_lines = mosaicity()
        edge_rows, edge_lines = edge(Path(name), given.pairs)
        truths = [*backgrounds(), *domain_rows, *sizes(), *diffuse(), *edge_rows]
        times = costs(4 * given.pairs)
    lines = ["# Backgrounds, disorder, colour", "", "Made by scripts/check_crystal.py.", ""]
    lines += ["| what | against | found | bound |", "|---|---|---|---|"]
    for what, against, found, bound in (*truths, *times):
        limit = "" if math.isinf(bound) else f"{bound:g}"
        lines.append(f"| {what} | {against} | {found:.3g} | {limit} |")
    lines += ["", "## Even and random domains", ""]
    lines += ["Relative error (L2) of an image against 40,000 random domains; medians of five random sets.", ""]
    lines += [*domain_lines, "", "## A selenium edge in 200 channels", "", *edge_lines, ""]
    given.report.parent.mkdir(exist_ok=True)
    given.report.write_text("\n".join(lines))
    missed = [row for row in (*truths, *times) if row[2] > row[3]]
    for what, against, found, bound in missed:
        print(f"missed: {what} against {against}: {found:.3g} > {bound:g}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
