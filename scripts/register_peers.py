"""Register the pairs of check_register.py with SimpleITK, and keep what it finds with where it came from.

    python scripts/register_peers.py [--to tests/register/simpleitk.json]

Three ways of setting it up, each a turn and shift first, then an affine map, then a grid of B-splines: mutual
information (Mattes) and neighbourhood correlation (ANTS), whose square does not mind inverted contrast.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from check_register import DRAWS, MODELS, NOISE, Pair, pair, target_error

N_BINS, RADIUS = 32, 4
WAYS = {"Mattes, 25.6 px": ("mattes", 5), "ANTS, 25.6 px": ("ants", 5), "ANTS, 16 px": ("ants", 8)}


def method(metric: str, shrink: tuple[int, ...], smooth: tuple[float, ...]) -> sitk.ImageRegistrationMethod:
    """All pixels, cubic interpolation, a pyramid."""
    made = sitk.ImageRegistrationMethod()
    if metric == "mattes":
        made.SetMetricAsMattesMutualInformation(N_BINS)
    else:
        made.SetMetricAsANTSNeighborhoodCorrelation(RADIUS)
    made.SetMetricSamplingStrategy(made.NONE)
    made.SetInterpolator(sitk.sitkBSpline)
    made.SetShrinkFactorsPerLevel(list(shrink))
    made.SetSmoothingSigmasPerLevel(list(smooth))
    return made


def affine(fixed: sitk.Image, moving: sitk.Image, metric: str) -> sitk.Transform:
    """A turn and a shift from the identity, then an affine map."""
    centre = [0.5 * (n - 1) for n in fixed.GetSize()]
    turn = sitk.Euler2DTransform()
    turn.SetCenter(centre)
    first = method(metric, (4, 2, 1), (2.0, 1.0, 0.0))
    first.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-4, 300, 0.6, 1e-8)
    first.SetOptimizerScalesFromPhysicalShift()
    first.SetInitialTransform(turn, True)
    first.Execute(fixed, moving)
    whole = sitk.AffineTransform(2)
    whole.SetCenter(centre)
    whole.SetMatrix(turn.GetMatrix())
    whole.SetTranslation(turn.GetTranslation())
    second = method(metric, (2, 1), (1.0, 0.0))
    second.SetOptimizerAsRegularStepGradientDescent(0.5, 1e-5, 500, 0.6, 1e-9)
    second.SetOptimizerScalesFromPhysicalShift()
    second.SetInitialTransform(whole, True)
    second.Execute(fixed, moving)
    return whole


def free_form(fixed: sitk.Image, moving: sitk.Image, metric: str, mesh: int) -> sitk.Transform:
    """B-splines on top of the affine map."""
    whole = affine(fixed, moving, metric)
    grid = sitk.BSplineTransformInitializer(fixed, [mesh, mesh], 3)
    made = method(metric, (4, 2, 1), (2.0, 1.0, 0.0))
    made.SetMovingInitialTransform(whole)
    made.SetInitialTransform(grid, True)
    made.SetOptimizerAsLBFGSB(1e-8, 500, 5, 5000, 1e2)
    made.Execute(fixed, moving)
    return sitk.CompositeTransform([whole, grid])


def scored(given: Pair, model: str, metric: str, mesh: int) -> float:
    """Mean target registration error, pixels."""
    fixed, moving = sitk.GetImageFromArray(given.fixed), sitk.GetImageFromArray(given.moving)
    found = affine(fixed, moving, metric) if model == "affine" else free_form(fixed, moving, metric, mesh)
    field = sitk.TransformToDisplacementField(found, sitk.sitkVectorFloat64, fixed.GetSize())
    values = sitk.GetArrayFromImage(field)
    return target_error(given, np.stack([values[..., 1], values[..., 0]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path("tests/register/simpleitk.json"))
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    to = parser.parse_args().to
    errors = {}
    for name, model in MODELS.items():
        for noise, draws in ((0.0, (1,)), (NOISE, DRAWS)):
            row = {}
            for way, (metric, mesh) in WAYS.items():
                if model == "affine" and way == "ANTS, 16 px":
                    continue
                found = [scored(pair(name, noise, draw), model, metric, mesh) for draw in draws]
                row[way if model == "spline" else way.split(",")[0]] = [round(float(x), 5) for x in found]
            errors[f"{name}, noise {noise:g}"] = row
            print(name, noise, row, flush=True)
    kept = {
        "program": f"SimpleITK {sitk.Version_VersionString()}",
        "made by": "scripts/register_peers.py",
        "what": "mean target registration error in pixels, one number per draw of the noise",
        "errors": errors,
    }
    to.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
