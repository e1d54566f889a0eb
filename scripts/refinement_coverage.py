"""Whether reported uncertainties can be trusted: random stills drawn by the C reference, refined, held to the truth.

Writes reports/refinement.md. The data, noise included, come from golden_suite_generator/build/nanobragg_reference.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nanobrag_torch.cli.parse import parse
from nanobrag_torch.refine import QUANTITIES, Observation, Schedule, Shot, refine_shots
from nanobrag_torch.settling.scene import settle

ROOT = Path(__file__).parents[1]
NAMES = ("misset", "cell_lengths", "cell_angles", "N", "mosaic_spread", "distance", "beam_centre")
SIZE, BLOCK, OFFSET = 96, 48, 40
DOSES = (3e26, 1e27, 3e27)


def words(trial: dict[str, list[float]], fluence: float, size: int = SIZE) -> list[str]:
    """The scene as a command line of both programs."""
    fixed = "-default_F 100 -lambda 1 -pixel 0.5 -oversample 1 -phi 0 -osc 0 -nointerpolate"
    fixed += " -mosaic_domains 12 -mosaic_seed 5"
    said = [*fixed.split(), "-detpixels", str(size), "-fluence", repr(fluence)]
    n = trial["N"]
    flags = {
        "-cell": trial["cell_lengths"] + trial["cell_angles"],
        "-misset": trial["misset"],
        "-mosaic_spread": trial["mosaic_spread"],
        "-distance": trial["distance"],
        "-Xbeam": trial["beam_centre"][:1],
        "-Ybeam": trial["beam_centre"][1:],
        "-Na": n[:1],
        "-Nb": n[1:2],
        "-Nc": n[2:],
    }
    for flag, values in flags.items():
        said += [flag, *(repr(float(v)) for v in values)]
    return said


def truth(
    rng: np.random.Generator, size: int = SIZE, cells: tuple[float, float] = (6.0, 9.0)
) -> dict[str, list[float]]:
    return {
        "misset": list(rng.uniform(0.0, 360.0, 3)),
        "cell_lengths": list(np.array([50.0, 60.0, 70.0]) + rng.normal(0.0, 1.0, 3)),
        "cell_angles": list(90.0 + rng.normal(0.0, 1.0, 3)),
        "N": list(rng.uniform(*cells, 3).round()),
        "mosaic_spread": [rng.uniform(0.4, 0.8)],
        "distance": [rng.uniform(75.0, 85.0)],
        "beam_centre": list(size / 4.0 + rng.normal(0.0, 0.5, 2)),
    }


def start(true: dict[str, list[float]], rng: np.random.Generator) -> dict[str, list[float]]:
    """Near the truth: this asks about error bars, not about convergence. (N is moved when it need not be whole.)"""
    moved = {"misset": 0.05, "cell_lengths": 0.05, "cell_angles": 0.05, "N": 0.0, "mosaic_spread": 0.02}
    moved |= {"distance": 0.1, "beam_centre": 0.02}
    return {name: list(np.array(v) + moved[name] * rng.normal(0.0, 1.0, len(v))) for name, v in true.items()}


def measured(binary: Path, said: list[str], seed: int, folder: Path, size: int = SIZE) -> np.ndarray:
    noise = folder / "noise.img"
    run = [str(binary), *said, "-seed", str(seed), "-noisefile", str(noise), "-nopgm", "-floatfile", str(folder / "f")]
    subprocess.run(run, check=True, capture_output=True, cwd=folder)
    data = noise.read_bytes()
    return np.frombuffer(data[-2 * size * size :], dtype="<u2").reshape(size, size).astype(np.float64) - OFFSET


def one(binary: Path, rng: np.random.Generator, fluence: float, folder: Path) -> dict[str, Any]:
    """Normalised errors [n], errors in settled units, and what else is of interest."""
    true = truth(rng)
    image = measured(binary, words(true, fluence), int(rng.integers(1, 2**30)), folder)
    rng_background = rng.poisson(2.0, image.shape)
    seen = Observation.of(image + rng_background)
    blocks = SIZE // BLOCK
    labels = (seen.pixels[:, 1] // BLOCK) * blocks + seen.pixels[:, 2] // BLOCK
    wanted = settle(parse(words(true, fluence)), "nanobragg")
    begun = settle(parse(words(start(true, rng), fluence)), "nanobragg")
    sizes = begun.crystal.N * torch.from_numpy(1.0 + 0.03 * rng.normal(0.0, 1.0, 3))
    begun = QUANTITIES["N"].put(begun, sizes)
    clock = time.perf_counter()
    done = refine_shots([Shot(begun, seen, labels)], shared=NAMES, schedule=Schedule(60))
    seconds = time.perf_counter() - clock
    (shot,) = done.shots
    exact = torch.cat([QUANTITIES[name].take(wanted).reshape(-1) for name in NAMES])
    error = shot.values - exact
    return {
        "z": (error / shot.sigma).numpy(),
        "error": error.numpy(),
        "columns": shot.columns,
        "converged": done.converged,
        "chi": done.chi_square,
        "photons": float(image.sum()),
        "seconds": seconds,
    }


def table(results: list[dict[str, Any]]) -> list[str]:
    good = [r for r in results if r["converged"]]
    z = np.array([r["z"] for r in good])
    if not good:
        return ["None converged."]
    lines = ["| parameter | within 1 sigma, % | within 2, % | mean / sigma |", "|---|---|---|---|"]
    for i, (name, index) in enumerate(good[0]["columns"]):
        one_sigma, two = (100.0 * np.mean(np.abs(z[:, i]) <= k) for k in (1, 2))
        lines.append(f"| {name}[{index}] | {one_sigma:.1f} | {two:.1f} | {np.clip(z[:, i], -10, 10).mean():+.2f} |")
    one_sigma, two = (100.0 * np.mean(np.abs(z) <= k) for k in (1, 2))
    lines.append(f"| all | {one_sigma:.1f} | {two:.1f} | |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--c-bin", type=Path, default=ROOT / "golden_suite_generator/build/nanobragg_reference")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--out", type=Path, default=ROOT / "reports/refinement.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Coverage of refined uncertainties",
        "",
        f"Made by `scripts/refinement_coverage.py --trials {given.trials}`. Stills of random orientation drawn by the",
        f"C reference with its own Poisson noise, {SIZE} x {SIZE} pixels, on a background of 2 photons a pixel;",
        f"{len(NAMES)} quantities (16 numbers) and four backgrounds (exponentials of planes) refined together by",
        "Fisher scoring from starts near the truth, with the C program's physics as the model. Wanted of 200 trials:",
        "68 % +- 4 of the true values within one reported standard deviation, 95 % +- 2.5 within two, a mean below",
        "0.2. Of T trials a share of 68 % has a standard error of 47 % / sqrt(T).",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for dose in DOSES:
            rng = np.random.default_rng(20)
            results = [one(given.c_bin, rng, dose, Path(folder)) for _ in range(given.trials)]
            kept = sum(bool(r["converged"]) for r in results)
            photons, chi, seconds = (np.median([float(r[k]) for r in results]) for k in ("photons", "chi", "seconds"))
            lines += [
                "",
                f"## {dose:.0e} photons/m^2: a median of {photons:.0f} photons in spots",
                "",
                f"{kept} of {given.trials} converged (the others are left out of the table); median reduced chi-square",
                f"(Pearson's) {chi:.3f}; median {seconds:.2f} s a still.",
                "",
                *table(results),
            ]
            print("\n".join(lines[-24:]), flush=True)
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
