"""Draw docs/images/measured.png, frames of a beamline beside their simulation, and write reports/measured.md.

The measured side is stored in `examples/l_cysteine/measured.npz` (CC-BY 4.0, see the README there). It was made from
the fifteen frames of the first sweep by `--frames FOLDER`, where FOLDER holds the files `l-cyst_01_000NN.cbf.gz`.
Nothing is refined: geometry and orientation are those of DIALS, amplitudes those that were merged from the whole
sweep, and one factor brings the simulation to the scale of the measurement.
"""

from __future__ import annotations

import argparse
import shlex
import warnings
from pathlib import Path

import fabio
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from nanobrag_torch import NanobragWarning, Simulator, __version__, settle
from nanobrag_torch.cli.parse import parse_line
from nanobrag_torch.io.refl import read_refl

Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples" / "l_cysteine"
STORED = DATA / "measured.npz"
BIN, REACH = 5, 7
"""Pixels along an edge that the stored overview adds up, and pixels around a spot that are stored as they are."""
WORDS = (
    "-hkl amplitudes.mtz -mtz_column F -expt sweep_01.expt -osc 1.5 -phisteps 75 -N 100 -round_xtal "
    "-mosaic_spread 0.08 -mosaic_domains 30 -oversample 1 -fluence 1e24"
)
BRIGHT = 50
"""Photons of a spot whose logarithm is compared."""
FACES = 8
"""Spots that the picture enlarges."""


def observed() -> Array:
    """Fast and slow [n, 2] of every indexed spot that DIALS found, pixels."""
    table = read_refl(DATA / "sweep_01.refl")
    return table.observed[table.indexed(), :2]


def around(image: Array, places: Array) -> Array:
    """Squares [n, 2 REACH + 1, 2 REACH + 1] of pixels around places; zero outside the image."""
    padded = np.pad(image, REACH)
    corners = places[:, ::-1].astype(int)
    return np.stack([padded[i : i + 2 * REACH + 1, j : j + 2 * REACH + 1] for i, j in corners])


def binned(image: Array) -> Array:
    """Sums over BIN x BIN pixels."""
    rows, columns = (n // BIN for n in image.shape)
    return image[: rows * BIN, : columns * BIN].reshape(rows, BIN, columns, BIN).sum(axis=(1, 3))


def store(folder: Path) -> None:
    """Add up the frames and keep what the picture needs."""
    frames = np.stack([fabio.open(path).data for path in sorted(folder.glob("l-cyst_01_*.cbf.gz"))])
    dead = (frames < 0).any(axis=0)
    total = np.where(dead, 0, frames.sum(axis=0))
    live = binned((~dead).astype(float))
    np.savez_compressed(
        STORED,
        overview=binned(total).astype(np.uint16),
        live=live.astype(np.uint8),
        spots=around(total, observed()).astype(np.uint16),
        frames=len(frames),
    )


def simulated() -> Array:
    """Photons [slow, fast] of the same rotation at the fluence of WORDS."""
    words = [str(DATA / word) if (DATA / word).is_file() else word for word in shlex.split(WORDS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)  # the table ends just before the corners of the detector
        experiment = settle(parse_line(words).config)
    return Simulator(experiment).run().numpy()[0].astype(np.float64)


def above(squares: Array) -> Array:
    """Photons [n] of spots above the median of the pixels around them."""
    return (squares - np.median(squares, axis=(1, 2), keepdims=True)).sum(axis=(1, 2))


def centroids(squares: Array) -> Array:
    """Fast and slow [n, 2] of spots in their squares, of pixels above a tenth of the brightest."""
    weight = squares - np.median(squares, axis=(1, 2), keepdims=True)
    weight = np.where(weight > 0.1 * weight.max(axis=(1, 2), keepdims=True), weight, 0.0)
    i, j = np.mgrid[: squares.shape[1], : squares.shape[2]]
    total = weight.sum(axis=(1, 2))
    return np.stack([(weight * j).sum(axis=(1, 2)) / total, (weight * i).sum(axis=(1, 2)) / total], axis=1)


def show(axis: Axes, image: Array, most: float, title: str = "") -> None:
    """An image in grey, dark where it is bright."""
    axis.imshow(image, cmap="gray_r", vmin=0, vmax=most, interpolation="nearest")
    axis.set(xticks=[], yticks=[], title=title)
    axis.spines[:].set_color("0.8")


def spread(image: Array) -> Array:
    """Every pixel the brightest of the 3 x 3 around it, so that spots are seen at the size of a picture."""
    return torch.nn.functional.max_pool2d(torch.tensor(image)[None, None], 3, 1, 1)[0, 0].numpy()


def draw(overviews: tuple[Array, Array], squares: tuple[Array, Array], brightest: Array) -> None:
    """Both overviews, and the brightest spots enlarged one under the other."""
    figure = plt.figure(figsize=(10, 7.4), layout="constrained")
    whole, faces = figure.subfigures(2, 1, height_ratios=(5.2, 2.2))
    names = ("measured: 1.5° of L-cysteine, PILATUS 2M", "simulated by nanobrag_torch")
    for axis, image, name in zip(whole.subplots(1, 2), overviews, names, strict=True):
        show(axis, spread(image), 120.0, name)
    axes = faces.subplots(2, len(brightest))
    for row, (images, name) in enumerate(zip(squares, ("measured", "simulated"), strict=True)):
        for axis, spot, number in zip(axes[row], images[brightest], brightest, strict=True):
            show(axis, np.sqrt(spot), np.sqrt(squares[0][number].max()))
        axes[row, 0].set_ylabel(name)
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    figure.savefig(ROOT / "docs" / "images" / "measured.png", dpi=90, metadata={"Software": None})
    plt.close(figure)


def report(measured: Array, found: Array, offset: Array, factor: float) -> str:
    """The page reports/measured.md."""
    usual = np.median(offset, axis=0)
    around_it = np.median(np.abs(offset - usual), axis=0)
    bright = (measured >= BRIGHT) & (found > 0)
    linear, logarithms = (np.corrcoef(f(measured[bright]), f(found[bright]))[0, 1] for f in (np.asarray, np.log))
    return f"""# Measured frames beside their simulation

Made by `scripts/make_readme_picture.py` with nanobrag_torch {__version__}. Fifteen frames (1.5°) of L-cysteine from a
PILATUS 2M, with the geometry and orientation of DIALS and merged amplitudes; nothing was refined,
one factor ({factor:.2f}) brings the simulation to the scale of the measurement.

| what | found |
|---|---|
| spots that DIALS found and indexed | {len(measured)} |
| of them with at least {BRIGHT} photons | {bright.sum()} |
| correlation of the intensities of these, measured and simulated | {linear:.3f} |
| the same between logarithms | {logarithms:.3f} |
| centroids, simulated less measured: median (fast, slow), pixels | {usual[0]:+.2f}, {usual[1]:+.2f} |
| their median absolute deviation, pixels | {around_it[0]:.2f}, {around_it[1]:.2f} |

The data are those of examples/l_cysteine (Williams, Gildea and Winter 2019, CC-BY 4.0).
"""


def main() -> None:
    """Draw the picture and write the report; with --frames, store the measured side first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=Path, help="folder of the measured frames, to store their part again")
    folder = parser.parse_args().frames
    if folder:
        store(folder)
    stored = np.load(STORED)
    photons, places = simulated(), observed()
    squares = stored["spots"].astype(float)
    drawn = around(photons, places)
    intensity, model = above(squares), above(drawn)
    factor = float(np.median(intensity / model))
    live = stored["live"] / BIN**2
    background = float(np.median(stored["overview"][live == 1])) / BIN**2
    random = np.random.default_rng(1)
    noisy = random.poisson(factor * photons + background).astype(float)
    brightest = np.argsort(-intensity)[: 2 * FACES : 2]
    draw((stored["overview"].astype(float), binned(noisy) * live), (squares, around(noisy, places)), brightest)
    offset = centroids(drawn) - centroids(squares)
    (ROOT / "reports" / "measured.md").write_text(report(intensity, model, offset, factor), encoding="utf-8")


if __name__ == "__main__":
    main()
