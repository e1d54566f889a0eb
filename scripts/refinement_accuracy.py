"""How accurate a refinement is, and from how far it converges: random stills drawn by the C reference.

Writes reports/refinement_accuracy.md. The data, noise included, come from
golden_suite_generator/build/nanobragg_reference.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from refinement_coverage import NAMES, ROOT, measured, truth, words

from nanobrag_torch.cli.parse import parse
from nanobrag_torch.refine import QUANTITIES, Constraints, Observation, Schedule, Shot, refine_shots
from nanobrag_torch.settling.scene import settle

SIZE, BLOCK, CELLS = 160, 40, (9.0, 12.0)
FLUENCE = 1.56e27
TURN_DEG, STRAIN, OFF_SIZE = 0.3, 0.005, 0.1


def start(true: dict[str, list[float]], rng: np.random.Generator) -> dict[str, list[float]]:
    """Turned by 0.3 degrees about a random axis, lengths 0.5 % off, each up or down; the camera as it is known."""
    axis = rng.normal(0.0, 1.0, 3)
    begun = {name: list(values) for name, values in true.items()}
    begun["cell_lengths"] = list(np.array(true["cell_lengths"]) * (1.0 + STRAIN * rng.choice([-1.0, 1.0], 3)))
    begun["axis"] = list(axis / np.linalg.norm(axis))
    return begun


def one(binary: Path, rng: np.random.Generator, folder: Path) -> dict[str, Any]:
    """Errors of a trial in the user's units."""
    true = truth(rng, SIZE, CELLS)
    image = measured(binary, words(true, FLUENCE, SIZE), int(rng.integers(1, 2**30)), folder, SIZE)
    seen = Observation.of(image + rng.poisson(2.0, image.shape))
    blocks = SIZE // BLOCK
    labels = (seen.pixels[:, 1] // BLOCK) * blocks + seen.pixels[:, 2] // BLOCK
    wanted = settle(parse(words(true, FLUENCE, SIZE)), "nanobragg")
    first = start(true, rng)
    axis = torch.tensor(first.pop("axis"), dtype=torch.float64)
    begun = settle(parse(words(first, FLUENCE, SIZE)), "nanobragg")
    turned = begun.crystal.misset + torch.deg2rad(TURN_DEG * axis)
    begun = begun.replace(crystal=begun.crystal.replace(misset=turned))
    sizes = begun.crystal.N * torch.from_numpy(1.0 + OFF_SIZE * rng.choice([-1.0, 1.0], 3))
    spread = begun.crystal.mosaic.spread * (1.0 + OFF_SIZE)
    begun = QUANTITIES["mosaic_spread"].put(QUANTITIES["N"].put(begun, sizes), spread)
    # A camera is known to a tenth of a millimetre before it is refined.
    known = {
        "distance": (begun.detector.panel.distance.reshape(1), 1e-4),
        "beam_centre": (begun.detector.panel.beam_centre, 1e-4),
    }
    clock = time.perf_counter()
    done = refine_shots(
        [Shot(begun, seen, labels)], NAMES, constraints=Constraints(restraints=known), schedule=Schedule(80, 1e-3)
    )
    seconds = time.perf_counter() - clock
    (shot,) = done.shots
    error = {}
    for name in ("misset", "cell_lengths", "cell_angles", "N", "mosaic_spread"):
        rows = [i for i, (column, _) in enumerate(shot.columns) if column == name]
        quantity = QUANTITIES[name]
        found, exact = quantity.shown(shot.values[rows]), quantity.shown(quantity.take(wanted).reshape(-1))
        error[name] = (found - exact).abs().numpy() / (exact.numpy() if name in ("N", "mosaic_spread") else 1.0)
    right = bool(error["misset"].max() < 0.05 and error["cell_lengths"].max() < 0.2)
    return {
        **error,
        "converged": done.converged and right,
        "photons": float(image.sum()),
        "seconds": seconds,
        "steps": len(done.losses) - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--c-bin", type=Path, default=ROOT / "golden_suite_generator/build/nanobragg_reference")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--out", type=Path, default=ROOT / "reports/refinement_accuracy.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        results = [one(given.c_bin, rng, Path(folder)) for _ in range(given.trials)]
    good = [r for r in results if r["converged"]]
    photons = float(np.median([r["photons"] for r in results]))
    share = 100.0 * len(good) / len(results)
    lines = [
        "# Accuracy and convergence of a refinement",
        "",
        f"Made by `scripts/refinement_accuracy.py --trials {given.trials}`. Stills of random orientation drawn by",
        f"the C reference with its own Poisson noise, {SIZE} x {SIZE} pixels, a median of {photons:.0f} photons in",
        "spots over a background of 2 a pixel; misset, cell (six numbers), N, mosaic spread, distance and beam centre",
        f"refined together (16 numbers, {(SIZE // BLOCK) ** 2} backgrounds), the camera known to 0.1 mm before.",
        f"Starts: turned by {TURN_DEG} degrees about a random axis, each length {100 * STRAIN:.1f} %, N and spread",
        f"{100 * OFF_SIZE:.0f} % off.",
        "",
        f"- converged to the truth: {share:.1f} % of {len(results)} trials (wanted: 95 %)",
        f"- median time of a still on one thread: {np.median([r['seconds'] for r in results]):.2f} s, "
        f"{np.median([r['steps'] for r in results]):.0f} steps",
        "",
        "| quantity | median error | nine in ten below | wanted median |",
        "|---|---|---|---|",
    ]
    for name, unit, wanted, factor in (
        ("misset", "degrees, each", "0.0025", 1.0),
        ("cell_lengths", "A, each", "0.01", 1.0),
        ("cell_angles", "degrees, each", "", 1.0),
        ("N", "%, each", "3", 100.0),
        ("mosaic_spread", "%", "3", 100.0),
    ):
        values = factor * np.concatenate([np.atleast_1d(r[name]) for r in good])
        lines.append(f"| {name} ({unit}) | {np.median(values):.4f} | {np.quantile(values, 0.9):.4f} | {wanted} |")
    print("\n".join(lines))
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
