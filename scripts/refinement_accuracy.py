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
from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.refine import (
    QUANTITIES,
    Constraints,
    Observation,
    Reach,
    Schedule,
    Shot,
    locate,
    refine_shots,
)
from nanobrag_torch.settling.scene import settle

SIZE, BLOCK, CELLS = 160, 40, (9.0, 12.0)
FLUENCE = 1.56e27
TURN_DEG, STRAIN, OFF_SIZE = 0.3, 0.005, 0.1
OFF_CENTRE = 0.2
"""Part of the frame by which the beam centre is off, in a random direction, where the camera is located first."""
KNOWN_M = {False: 1e-4, True: 5e-4}
"""What is known of the beam centre before it is refined: a tenth of a millimetre, or the pixel that `locate` leaves."""


def start(true: dict[str, list[float]], rng: np.random.Generator) -> dict[str, list[float]]:
    """Turned by 0.3 degrees about a random axis, lengths 0.5 % off, each up or down; the camera as it is known."""
    axis = rng.normal(0.0, 1.0, 3)
    begun = {name: list(values) for name, values in true.items()}
    begun["cell_lengths"] = list(np.array(true["cell_lengths"]) * (1.0 + STRAIN * rng.choice([-1.0, 1.0], 3)))
    begun["axis"] = list(axis / np.linalg.norm(axis))
    return begun


def off_centre(begun: Experiment, rng: np.random.Generator) -> Experiment:
    """The beam centre moved in a random direction by a part of the frame."""
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    away = OFF_CENTRE * SIZE * torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float64)
    panel = begun.detector.panel
    away = panel.pixel_size * away
    changes = {"beam_centre": panel.beam_centre + away, "near_point": panel.near_point + away}
    return begun.replace(detector=begun.detector.replace(**changes))


def begun_near(true: dict[str, list[float]], rng: np.random.Generator) -> Experiment:
    """The start of a trial, with the camera in its place."""
    first = start(true, rng)
    axis = torch.tensor(first.pop("axis"), dtype=torch.float64)
    begun = settle(parse(words(first, FLUENCE, SIZE)), "nanobragg")
    turned = begun.crystal.misset + torch.deg2rad(TURN_DEG * axis)
    begun = begun.replace(crystal=begun.crystal.replace(misset=turned))
    sizes = begun.crystal.N * torch.from_numpy(1.0 + OFF_SIZE * rng.choice([-1.0, 1.0], 3))
    spread = begun.crystal.mosaic.spread * (1.0 + OFF_SIZE)
    return QUANTITIES["mosaic_spread"].put(QUANTITIES["N"].put(begun, sizes), spread)


def one(binary: Path, rng: np.random.Generator, folder: Path, *, far: bool) -> dict[str, Any]:
    """Errors of a trial in the user's units; `far`: the beam centre is off, and located first."""
    true = truth(rng, SIZE, CELLS)
    image = measured(binary, words(true, FLUENCE, SIZE), int(rng.integers(1, 2**30)), folder, SIZE)
    seen = Observation.of(image + rng.poisson(2.0, image.shape))
    blocks = SIZE // BLOCK
    labels = (seen.pixels[:, 1] // BLOCK) * blocks + seen.pixels[:, 2] // BLOCK
    wanted = settle(parse(words(true, FLUENCE, SIZE)), "nanobragg")
    begun = begun_near(true, rng)
    clock = time.process_time()
    if far:
        try:
            begun = locate(off_centre(begun, rng), seen, Reach(distance=0.0)).experiment
        except InputError:
            return {"converged": False, "refused": True}
    centre = QUANTITIES["beam_centre"].take(begun)
    known = {"distance": (begun.detector.panel.distance.reshape(1), 1e-4), "beam_centre": (centre, KNOWN_M[far])}
    done = refine_shots(
        [Shot(begun, seen, labels)], NAMES, constraints=Constraints(restraints=known), schedule=Schedule(80, 1e-3)
    )
    seconds = time.process_time() - clock
    (shot,) = done.shots
    error = {}
    for name in (*(row[0] for row in ROWS), "beam_centre"):
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


ROWS = (
    ("misset", "degrees, each", "0.0025", 1.0),
    ("cell_lengths", "A, each", "0.01", 1.0),
    ("cell_angles", "degrees, each", "", 1.0),
    ("N", "%, each", "3", 100.0),
    ("mosaic_spread", "%", "3", 100.0),
)


def table(good: list[dict[str, Any]]) -> list[str]:
    """Errors of the trials that converged."""
    lines = ["| quantity | median error | nine in ten below | wanted median |", "|---|---|---|---|"]
    for name, unit, wanted, factor in ROWS:
        values = factor * np.concatenate([np.atleast_1d(r[name]) for r in good])
        lines.append(f"| {name} ({unit}) | {np.median(values):.4f} | {np.quantile(values, 0.9):.4f} | {wanted} |")
    return lines


def far_lines(results: list[dict[str, Any]]) -> list[str]:
    """What became of the trials whose beam centre was off."""
    good = [r for r in results if r["converged"]]
    refused = sum("refused" in r for r in results)
    lines = [
        "",
        "## From a beam centre that is far off",
        "",
        f"{len(results)} other stills with starts of the same kind, and the beam centre "
        f"{100 * OFF_CENTRE:.0f} % of the",
        "frame off in a random direction. `locate` comes first; what it finds counts as known to 0.5 mm (a pixel) in",
        "the refinement.",
        "",
        f"- converged to the truth: {100.0 * len(good) / len(results):.1f} % (wanted: 95 %)",
        f"- `locate` refused to answer: {refused}; answered and did not lead to the truth: "
        f"{len(results) - len(good) - refused}",
    ]
    if not good:
        return lines
    seconds, centre = np.median([r["seconds"] for r in good]), np.concatenate([r["beam_centre"] for r in good])
    lines += [
        f"- median processor time of a still, search included: {seconds:.2f} s",
        f"- median error of the refined beam centre: {1e3 * np.median(centre):.1f} um",
        "",
    ]
    return lines + table(good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--c-bin", type=Path, default=ROOT / "golden_suite_generator/build/nanobragg_reference")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--far", type=int, default=20, help="trials that begin far off in beam centre")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/refinement_accuracy.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng, other = np.random.default_rng(7), np.random.default_rng(8)
    with tempfile.TemporaryDirectory() as folder:
        results = [one(given.c_bin, rng, Path(folder), far=False) for _ in range(given.trials)]
        far = [one(given.c_bin, other, Path(folder), far=True) for _ in range(given.far)]
    good = [r for r in results if r["converged"]]
    photons = float(np.median([r["photons"] for r in results]))
    share = 100.0 * len(good) / len(results)
    lines = [
        "# Accuracy and convergence of a refinement",
        "",
        f"Made by `scripts/refinement_accuracy.py --trials {given.trials} --far {given.far}`. Stills of random",
        f"orientation drawn by the C reference with its own Poisson noise, {SIZE} x {SIZE} pixels, a median of",
        f"{photons:.0f} photons in spots over a background of 2 a pixel; misset, cell (six numbers), N, mosaic spread,",
        f"distance and beam centre refined together (16 numbers, {(SIZE // BLOCK) ** 2} backgrounds), the camera known",
        f"to 0.1 mm before. Starts: turned by {TURN_DEG} degrees about a random axis, each length "
        f"{100 * STRAIN:.1f} %,",
        f"N and spread {100 * OFF_SIZE:.0f} % off.",
        "",
        f"- converged to the truth: {share:.1f} % of {len(results)} trials (wanted: 95 %)",
        f"- median processor time of a still: {np.median([r['seconds'] for r in results]):.2f} s, "
        f"{np.median([r['steps'] for r in results]):.0f} steps",
        "",
        *table(good),
        *(far_lines(far) if far else []),
    ]
    print("\n".join(lines))
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
