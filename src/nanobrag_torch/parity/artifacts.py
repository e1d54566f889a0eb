"""The files that a comparison leaves beside its summary."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.parity.metrics import radial_profile
from nanobrag_torch.parity.pictures import difference_png, intensity_png, scale_limits

Array = NDArray[np.floating]


def write_artifacts(
    folder: Path,
    ours: Array,
    theirs: Array,
    *,
    centre: tuple[float, float],
    percentile: float,
    save_difference: bool = False,
) -> None:
    """Previews on one scale, the heat map of ours - C, the radial profile, and on request the difference itself.

    Args:
        folder: where they go.
        ours: our image [slow, fast] of the compared region.
        theirs: the C image.
        centre: (slow, fast) of the beam in it, pixels.
        percentile: of the C image, shown darkest in both previews.
        save_difference: also write difference.bin, float32.
    """
    limits = scale_limits(theirs, percentile)
    (folder / "c.png").write_bytes(intensity_png(theirs, limits))
    (folder / "py.png").write_bytes(intensity_png(ours, limits))
    difference = ours.astype(np.float64) - theirs
    picture, _ = difference_png(difference)
    (folder / "difference.png").write_bytes(picture)
    profile = radial_profile(np.nan_to_num(ours), np.nan_to_num(theirs), centre)
    with open(folder / "radial_profile.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(profile)
        writer.writerows(zip(*profile.values(), strict=True))
    if save_difference:
        difference.astype(np.float32).tofile(folder / "difference.bin")
