"""Draw docs/images/physics/*.png: what each defect of nanoBragg.c does to an image, and the image without it."""

import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig, Simulator, settle
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.legacy_random import LegacyRandom, Stream, random_misset
from nanobrag_torch.settling.inputs import Inputs

mpl.use("Agg")
FOLDER = Path(__file__).parents[1] / "docs" / "images" / "physics"
CRYSTAL = {"cell_a": 50.0, "cell_b": 60.0, "cell_c": 70.0, "Na": 5, "Nb": 5, "Nc": 5, "default_F": 100.0}
CRYSTAL |= {"misset_deg": (10.0, 20.0, 30.0)}
DETECTOR = {"convention": "XDS", "pixels_f": 80, "pixels_s": 80, "pixel_mm": 0.12, "distance_mm": 60.0}
ASIDE = {"ORGX": -150.0, "ORGY": -120.0}
WHOLE = {"pixel_mm": 1.0, "pixels_f": 66, "pixels_s": 66}
LARGE_SPOTS = {"cell_a": 25.0, "cell_b": 30.0, "cell_c": 35.0, "Na": 3, "Nb": 3, "Nc": 3, "shape": "round"}
TRICLINIC = {"cell_alpha": 70.0, "cell_beta": 80.0, "cell_gamma": 110.0}
SENSOR = {"thickness_um": 1000.0, "attenuation_depth_um": 700.0, "thick_steps": 8}
COARSE = {"pixel_mm": 8.0, "pixels_f": 12, "pixels_s": 12}
TWO_COLOURS = [[0.0, 0.0, -1.0, 1.0, 1.0e-10], [0.0, 0.0, -1.0, 9.0, 1.03e-10]]

# Crystal, beam, detector, sampling, rows of a source file, and the power that shows the faint.
SCENES = {
    "D26": (TRICLINIC, {}, ASIDE, {}, None, 0.5),
    "D27": ({"shape": "gauss", "Na": 12, "Nb": 3}, {}, ASIDE, {}, None, 0.5),
    "D28": (LARGE_SPOTS, {"wavelength_A": 3.0}, {"curved": True, "convention": "MOSFLM", **WHOLE}, {}, None, 0.5),
    "D29": ({"water_um": 0.07}, {"fluence": 1e24}, ASIDE, {"oversample": 2}, None, 1.0),
    "D30": ({}, {}, ASIDE | SENSOR, {}, None, 0.5),
    "D34": ({}, {}, ASIDE, {}, TWO_COLOURS, 0.5),
    "D46": ({}, {}, ASIDE | {"point_pixel": True}, {}, None, 0.5),
    "D54": ({"water_um": 0.02, "Na": 3, "Nb": 3, "Nc": 3}, {}, WHOLE, {"dmin_A": 2.2}, None, 0.5),
    "D64": ({"Na": 1, "Nb": 1, "Nc": 1}, {}, COARSE, {"oversample": 4}, None, 1.0),
}


def images(crystal, beam, detector, sampling, sources):
    """The image [slow, fast] in the faithful and in the exact mode."""
    config = Config(
        CrystalConfig(**CRYSTAL | crystal),
        BeamConfig(**beam),
        DetectorConfig(**DETECTOR | detector),
        SamplingConfig(**{"oversample": 1} | sampling),
    )
    inputs = None if sources is None else Inputs(sources=np.array(sources))
    return [Simulator(settle(config, mode, inputs)).run().array.numpy() for mode in ("nanobragg", "exact")]


def poles(count=200_000, bins=24):
    """Where random orientations put the z axis: counts over bins [height, azimuth] of equal area, mean 1."""
    maps = []
    for uniform in (False, True):
        generator, stream = LegacyRandom(), Stream.from_seed(1)
        angles = np.array([random_misset(generator, stream, uniform=uniform) for _ in range(count)])
        (cx, cy, cz), (sx, sy, sz) = np.cos(angles).T, np.sin(angles).T
        x, y, z = cz * sy * cx + sz * sx, sz * sy * cx - cz * sx, cy * cx
        counts = np.histogram2d(z, np.arctan2(y, x), bins, [[-1, 1], [-np.pi, np.pi]])[0]
        maps.append(counts[::-1] * bins * bins / count)
    return maps


def draw(name, faithful, exact, power, shared=True):
    """One picture: both images on one scale if `shared`, and their difference."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.7), layout="constrained")
    top = max(np.quantile(exact, 0.998), np.quantile(faithful, 0.9) if shared else 0.0)
    parts = {"faithful": faithful, "exact": exact, "faithful - exact": faithful - exact}
    for axis, (title, image) in zip(axes, parts.items(), strict=True):
        if image is faithful or image is exact:
            norm = mpl.colors.PowerNorm(power, 0.0, top if shared or image is exact else np.quantile(image, 0.998))
            shown = axis.imshow(image, "cividis", norm, interpolation="nearest")
        else:
            largest = np.quantile(np.abs(image), 0.998)
            shown = axis.imshow(image, "RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        axis.set(title=f"{name} {title}", xticks=[], yticks=[])
        figure.colorbar(shown, ax=axis, shrink=0.85)
    figure.savefig(FOLDER / f"{name}.png", dpi=70, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        draw("D25", *poles(), 0.5)
        for name, (*parts, power) in SCENES.items():
            draw(name, *images(*parts), power, shared=name != "D46")
