"""Draw the pictures of docs/conventions.md into docs/images/conventions: axes and beam centres of every convention.

Everything drawn comes from settled scenes, and every beam centre is checked to be the same point of the detector.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, settle
from nanobrag_torch.geometry.conventions import CONVENTIONS
from nanobrag_torch.io.scene import Scene
from nanobrag_torch.pipeline.describe import describe
from nanobrag_torch.units import metres_from_mm

HERE = Path(__file__).resolve().parents[1] / "docs" / "images" / "conventions"
FAST, SLOW, BEAM, AXIS, SWING = "#c0392b", "#1f6fb2", "#333333", "#2e8b57", "#8e44ad"
N_F, N_S, PIXEL_MM, DISTANCE_MM = 8, 6, 1.0, 9.0
F_B, S_B = 5.25, 2.0
"""Where the beam meets the detector, mm from the corner of pixel (0, 0)."""
SAID = {
    "ADXV": {"Xbeam_mm": F_B, "Ybeam_mm": N_S * PIXEL_MM - S_B},
    "MOSFLM": {"Xbeam_mm": S_B - PIXEL_MM / 2, "Ybeam_mm": F_B - PIXEL_MM / 2},
    "DENZO": {"Xbeam_mm": S_B, "Ybeam_mm": F_B},
    "XDS": {"ORGX": F_B / PIXEL_MM + 0.5, "ORGY": S_B / PIXEL_MM + 0.5},
    "DIALS": {"ORGX": F_B / PIXEL_MM + 0.5, "ORGY": S_B / PIXEL_MM + 0.5},
    "CUSTOM": {"Xbeam_mm": F_B, "Ybeam_mm": S_B},
}
FLAGS = {"Xbeam_mm": "-Xbeam", "Ybeam_mm": "-Ybeam", "ORGX": "-ORGX", "ORGY": "-ORGY"}


def scene(name: str) -> Scene:
    """A small detector in a convention; its beam centre is that of all the others."""
    detector = DetectorConfig(
        distance_mm=DISTANCE_MM, pixels_f=N_F, pixels_s=N_S, pixel_mm=PIXEL_MM, convention=name, **SAID[name]
    )
    made = describe(settle(Config(crystal=CrystalConfig(cell_a=50.0, default_F=1.0), detector=detector)))
    f, s, _ = made.panels[0].meets(made.beam.direction)
    np.testing.assert_allclose([f, s], metres_from_mm(np.array([F_B, S_B])), rtol=1e-9)
    return made


def projected(points: np.ndarray, beam: np.ndarray) -> np.ndarray:
    """Oblique view [n, 2] of lab points: the beam runs to the right and away, lab up stays up."""
    up = np.array([0.0, 1.0, 0.0])
    across = np.cross(beam, up)
    view = points @ np.array([beam, up, across]).T
    return np.column_stack([view[:, 0] + 0.45 * view[:, 2], view[:, 1] - 0.32 * view[:, 2]])


def arrow(axis: Axes, start: np.ndarray, end: np.ndarray, colour: str, label: str = "") -> None:
    """An arrow with a label at its tip."""
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, lw=1.6, shrinkA=0, shrinkB=0)
    )
    if label:
        step = (end - start) / np.linalg.norm(end - start)
        axis.text(*(end + 0.75 * step), label, color=colour, ha="center", va="center", fontsize=8.5)


def draw_axes(axis: Axes, name: str) -> None:
    """Sample, beam, detector and its axes in the lab."""
    made, table = scene(name), CONVENTIONS[name]
    panel, beam = made.panels[0], made.beam.direction

    def at(*points: np.ndarray) -> np.ndarray:
        return projected(np.array(points), beam)

    corners = panel.corners() * 1000.0
    outline = at(corners[0], corners[1], corners[3], corners[2])
    axis.add_patch(plt.Polygon(outline, closed=True, facecolor="#f3efe4", edgecolor="0.5"))
    origin = np.zeros(3)
    spot = beam * DISTANCE_MM
    axis.plot(*at(-4.0 * beam, spot).T, color=BEAM, lw=1.2)
    arrow(axis, *at(-4.0 * beam, -1.0 * beam), BEAM)
    axis.plot(*at(spot)[0], "+", color=BEAM, ms=9)
    axis.plot(*at(origin)[0], "D", color="0.2", ms=6)
    arrow(axis, *at(corners[0], corners[0] + 4.0 * panel.fast), FAST, "fast")
    arrow(axis, *at(corners[0], corners[0] + 4.0 * panel.slow), SLOW, "slow")
    axis.plot(*at(corners[0])[0], "o", color="0.2", ms=4)
    spindle, swing = np.array(table.spindle_axis), np.array(table.twotheta_axis)
    same = np.allclose(swing, spindle)
    arrow(axis, *at(origin, 3.4 * spindle), AXIS, "spindle, two-theta" if same else "spindle")
    if not same:
        arrow(axis, *at(origin, 3.4 * swing), SWING, "two-theta")
    place = np.array([-5.0, -7.6])
    for vector, letter in zip(np.eye(3), "xyz", strict=True):
        arrow(axis, place, place + projected(vector[None], beam)[0] * 1.9, "0.35", letter)
    axis.set(title=name, xlim=(-7.5, 14.5), ylim=(-9.5, 8.5), xticks=[], yticks=[], aspect="equal")
    axis.spines[:].set_visible(False)


def measure(axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, text: str) -> None:
    """A dimension line."""
    axis.add_patch(
        FancyArrowPatch(start, end, arrowstyle="<|-|>", mutation_scale=8, color=colour, lw=1.3, shrinkA=0, shrinkB=0)
    )
    middle = (np.array(start) + np.array(end)) / 2
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axis.text(*middle, text, color=colour, ha="center", va="center", fontsize=8, bbox=box)


def draw_centre(axis: Axes, name: str) -> None:
    """How the beam centre is counted, the detector seen with fast to the right and slow downwards."""
    scene(name)
    axis.add_patch(Rectangle((0, 0), N_F, N_S, facecolor="#f3efe4", edgecolor="0.5"))
    for x in range(1, N_F):
        axis.plot([x, x], [0, N_S], color="0.85", lw=0.7, zorder=1)
    for y in range(1, N_S):
        axis.plot([0, N_F], [y, y], color="0.85", lw=0.7, zorder=1)
    axis.plot(F_B, S_B, "+", color=BEAM, ms=11, mew=1.6)
    said = {FLAGS[field]: f"{FLAGS[field]} {value:g}" for field, value in SAID[name].items()}
    half = {"MOSFLM": 0.5, "XDS": -0.5, "DIALS": -0.5}.get(name, 0.0)
    x_name, y_name = ("-ORGX", "-ORGY") if "-ORGX" in said else ("-Xbeam", "-Ybeam")
    along_slow, along_fast = (x_name, y_name) if name in ("MOSFLM", "DENZO") else (y_name, x_name)
    measure(axis, (half, -0.8), (F_B, -0.8), FAST, said[along_fast])
    from_top = (half, S_B) if name != "ADXV" else (N_S, S_B)
    measure(axis, (-1.0, from_top[0]), (-1.0, from_top[1]), SLOW, said[along_slow])
    axis.plot([F_B, F_B], [-0.8, S_B], ":", color=FAST, lw=1)
    axis.plot([-1.0, F_B], [S_B, S_B], ":", color=SLOW, lw=1)
    if half:
        axis.plot([half, half], [-1.1, 0.5], color=FAST, lw=0.8)
        axis.plot([-1.3, 0.5], [half, half], color=SLOW, lw=0.8)
    unit = "pixels" if "-ORGX" in said else "mm"
    axis.set(title=f"{name} ({unit})", xlim=(-3.2, 8.6), ylim=(6.6, -1.8), xticks=[], yticks=[], aspect="equal")
    axis.spines[:].set_visible(False)


def main() -> None:
    """Write both pictures."""
    HERE.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update({"svg.hashsalt": "conventions", "font.size": 9, "svg.fonttype": "path"})
    for file, names, draw, height in (
        ("axes.svg", ("MOSFLM", "ADXV", "XDS", "DIALS"), draw_axes, 6.6),
        ("beam_centres.svg", ("MOSFLM", "DENZO", "ADXV", "XDS", "DIALS", "CUSTOM"), draw_centre, 5.4),
    ):
        columns = 2 if draw is draw_axes else 3
        figure, axes = plt.subplots(len(names) // columns, columns, figsize=(9, height), layout="constrained")
        for axis, name in zip(axes.flat, names, strict=True):
            draw(axis, name)
        figure.savefig(HERE / file, metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
