"""Measure registration on pairs whose map is known, against bounds and SimpleITK, into reports/register.md.

    python scripts/check_register.py [--report reports/register.md] [--peers tests/register/simpleitk.json]

Every row has a bound; status 1 if one is missed. SimpleITK's numbers are those that scripts/register_peers.py stored.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nanobrag_torch.register import Options, Registration, register
from nanobrag_torch.register.distortion import distortion, holes
from nanobrag_torch.register.transforms import identity

SIZE, BORDER = 128, 12
NOISE = 0.1
"""Standard deviations of the fixed image."""
DRAWS = (1, 2, 3)
MODELS = {"identity": "affine", "shift": "affine", "rotation": "affine", "free-form": "spline", "both": "spline"}
BOUNDS = {("affine", 0.0): 0.1, ("affine", NOISE): 0.3, ("spline", 0.0): 0.75, ("spline", NOISE): 0.75}
PEER_FACTOR, TOO_SMALL = 1.1, 0.01
"""Errors below the second, in pixels, are not compared: nobody can use the difference."""

Map = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Pair:
    """Two images [SIZE, SIZE] and the map from pixels of the fixed one to those of the moving one."""

    moving: np.ndarray
    fixed: np.ndarray
    truth: Map


def scene(slow: np.ndarray, fast: np.ndarray) -> np.ndarray:
    """140 Gaussians, known everywhere."""
    random = np.random.default_rng(1)
    places = random.uniform(-10, SIZE + 10, (140, 2))
    widths, heights = random.uniform(2.2, 7.0, 140), random.uniform(0.3, 1.0, 140)
    total = np.zeros(np.broadcast(slow, fast).shape)
    for (s, f), width, height in zip(places, widths, heights, strict=True):
        total += height * np.exp(-((slow - s) ** 2 + (fast - f) ** 2) / (2 * width**2))
    return total


def turned(slow: np.ndarray, fast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """15 degrees about the middle."""
    middle, cos, sin = 0.5 * (SIZE - 1), math.cos(math.radians(15)), math.sin(math.radians(15))
    s, f = slow - middle, fast - middle
    return middle + cos * s - sin * f, middle + sin * s + cos * f


def bent(slow: np.ndarray, fast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bumps of 6 and 4 pixels."""
    wide = 2 * (0.17 * SIZE) ** 2
    first = np.exp(-((slow - 0.45 * SIZE) ** 2 + (fast - 0.55 * SIZE) ** 2) / wide)
    second = np.exp(-((slow - 0.6 * SIZE) ** 2 + (fast - 0.4 * SIZE) ** 2) / wide)
    return slow + 6.0 * first, fast - 4.0 * second


TRUTHS: dict[str, Map] = {
    "identity": lambda s, f: (s + 0.0, f + 0.0),
    "shift": lambda s, f: (s + 5.0, f - 3.0),
    "rotation": turned,
    "free-form": bent,
    "both": lambda s, f: turned(*bent(s, f)),
}


def inverse(truth: Map, slow: np.ndarray, fast: np.ndarray) -> np.ndarray:
    """Newton's method with differences, to rounding."""
    x, step = np.stack([slow, fast]), 1e-5
    for _ in range(40):
        here = np.stack(truth(*x))
        down, right = (np.stack(truth(x[0] + a, x[1] + b)) - here for a, b in ((step, 0.0), (0.0, step)))
        rest = (np.stack([slow, fast]) - here) * step
        area = down[0] * right[1] - down[1] * right[0]
        x = x + np.stack([right[1] * rest[0] - right[0] * rest[1], down[0] * rest[1] - down[1] * rest[0]]) / area
    return x


def pair(name: str, noise: float, draw: int = 1) -> Pair:
    """A pair with inverted contrast; with noise, and always for `identity`, under a bias field too."""
    slow, fast = np.mgrid[:SIZE, :SIZE].astype(float)
    fixed = scene(slow, fast)
    moving = 2.0 - scene(*inverse(TRUTHS[name], slow, fast))
    if noise > 0.0 or name == "identity":
        moving = moving * (1.0 + 0.4 * (slow / SIZE - 0.5) + 0.3 * np.sin(3.0 * fast / SIZE))
    random, scale = np.random.default_rng(draw), noise * fixed.std()
    return Pair(
        moving + scale * random.standard_normal(moving.shape),
        fixed + scale * random.standard_normal(fixed.shape),
        TRUTHS[name],
    )


def target_error(given: Pair, field: np.ndarray) -> float:
    """Mean distance from the true places of all pixels that lie well inside both images, pixels."""
    slow, fast = np.mgrid[:SIZE, :SIZE].astype(float)
    true = np.stack(given.truth(slow, fast))
    both = np.concatenate([np.stack([slow, fast]), true])
    inside = ((both >= BORDER) & (both < SIZE - BORDER)).all(0)
    return float(np.hypot(*(np.stack([slow, fast]) + field - true))[inside].mean())


Rows = list[tuple[str, str, float, float]]


def accuracy(peers: dict[str, dict[str, list[float]]]) -> tuple[Rows, list[str]]:
    """Errors of all pairs against their bounds and SimpleITK, and lines for a table of both."""
    rows: Rows = []
    table = []
    for name, model in MODELS.items():
        for noise, draws in ((0.0, (1,)), (NOISE, DRAWS)):
            begin = time.process_time()
            given = [pair(name, noise, draw) for draw in draws]
            found = [register(g.moving, g.fixed, model, "mind") for g in given]
            seconds = (time.process_time() - begin) / len(draws)
            errors = [target_error(g, r.field.numpy()) for g, r in zip(given, found, strict=True)]
            what = f"{name}, noise {noise:g}"
            rows.append((f"{what}: mean error, pixels", f"known map, {model}", max(errors), BOUNDS[model, noise]))
            rows.append((f"{what}: gradient", "0", max(r.gradient for r in found), 1e-9))
            theirs = {way: float(np.mean(values)) for way, values in peers[what].items()}
            best = max(min(theirs.values()), TOO_SMALL)
            ours = float(np.mean(errors))
            rows.append((f"{what}: error / SimpleITK's best", "", ours / best, PEER_FACTOR))
            shown = ", ".join(f"{way} {value:.4f}" for way, value in theirs.items())
            table.append(f"| {what} | {model} | {ours:.4f} | {seconds:.1f} | {shown} |")
            print(table[-1], flush=True)
    worst = min(max(peers[f"identity, noise {noise:g}"][way]) for noise in (0.0, NOISE) for way in ("Mattes", "ANTS"))
    rows.append(("SimpleITK on the identity: mean error, pixels", "known map", worst, 0.5))
    return rows, table


def derivative(model: str, similarity: str) -> tuple[str, str, float, float]:
    """The derivative of the result by the moving image, the fixed one and bending, against problems solved again."""
    given = pair("rotation" if model != "shift" else "shift", NOISE)
    part = (slice(40, 88), slice(40, 88))
    moving = given.moving if similarity == "mind" else 2.0 - given.moving
    theta = [torch.tensor(x[part]) for x in (moving, given.fixed)] + [torch.tensor(2.0, dtype=torch.float64)]
    random = torch.Generator().manual_seed(3)

    def solved(values: list[torch.Tensor], **words: object) -> Registration:
        return register(values[0], values[1], model, similarity, options=Options(bending=values[2], **words))

    wanted = [t.clone().requires_grad_() for t in theta]
    here = solved(wanted)
    look = torch.randn(here.field.shape, dtype=torch.float64, generator=random)
    slopes = torch.autograd.grad((here.field * look).sum(), wanted, allow_unused=True)
    start, worst = here.transform.with_parameters(here.transform.parameters.detach()), 0.0
    for k, slope in enumerate(slopes):
        if slope is None:
            continue
        along = 0.1 * torch.randn(theta[k].shape, dtype=torch.float64, generator=random)
        ends = [
            (solved([t + h * along if j == k else t for j, t in enumerate(theta)], start=start, levels=1).field * look)
            for h in (1e-4, -1e-4)
        ]
        expected = float((ends[0] - ends[1]).sum()) / 2e-4
        worst = max(worst, abs(float((slope * along).sum()) - expected) / (abs(expected) + 1e-12))
    return f"derivative, {model}, {similarity}, objective {here.value:.1e}", "problems solved again", worst, 1e-4


def mask() -> tuple[str, str, float, float]:
    """A barrel distortion of two pixels seen in a mask of holes."""
    slow, fast = np.mgrid[:SIZE, :SIZE].astype(float)
    s, f = (slow / SIZE - 0.5) * 2, (fast / SIZE - 0.5) * 2
    offset = 1.0 * (s * s + f * f) * np.stack([s, f])
    away = [np.remainder(x - o - 4.0 + 5.0, 10.0) - 5.0 for x, o in zip((slow, fast), offset, strict=True)]
    measured = np.exp(-0.5 * (away[0] ** 2 + away[1] ** 2) / 1.6**2)
    options = Options(bending=0.1, start=identity("shift", (SIZE, SIZE)), levels=1)
    found = register(measured, holes((SIZE, SIZE), 10.0, 1.6, (4.0, 4.0)), "spline", "ncc", options=options)
    error = distortion(found.transform, (SIZE, SIZE)).offset - offset
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    return (
        "distortion from a mask of holes: mean error, pixels",
        "known map",
        float(np.hypot(*error)[inside].mean()),
        0.05,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=Path("reports/register.md"))
    parser.add_argument("--peers", type=Path, default=Path("tests/register/simpleitk.json"))
    said = parser.parse_args()
    peers = json.loads(said.peers.read_text(encoding="utf-8"))
    rows, table = accuracy(peers["errors"])
    for model, similarity in (
        ("shift", "mind"),
        ("rigid", "ncc"),
        ("affine", "mind"),
        ("affine", "ssd"),
        ("spline", "mind"),
    ):
        rows.append(derivative(model, similarity))
    rows.append(mask())
    text = [
        "# Registration",
        "",
        "Made by scripts/check_register.py.",
        "",
        "| what | against | found | bound |",
        "|---|---|---|---|",
    ]
    text += [f"| {what} | {against} | {found:.3g} | {bound:g} |" for what, against, found, bound in rows]
    text += [
        "",
        f"Five pairs of {SIZE} x {SIZE} pixels with inverted contrast, MIND. Noise is in standard deviations of the",
        f"image and comes with a bias field; errors are means over pixels and {len(DRAWS)} draws. {peers['program']}",
        "was set up in up to three ways (scripts/register_peers.py); the best of each pair counts, and no less than",
        f"{TOO_SMALL} pixels.",
        "",
        "| pair | model | error | CPU seconds | SimpleITK |",
        "|---|---|---|---|---|",
        *table,
    ]
    said.report.write_text("\n".join(text) + "\n", encoding="utf-8")
    missed = [row for row in rows if not row[2] <= row[3]]
    for what, _, found, bound in missed:
        print(f"missed: {what}: {found:.3g}, bound {bound:g}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
