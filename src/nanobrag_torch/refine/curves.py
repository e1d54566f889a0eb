"""Curves for people: profile likelihoods as rows, lines and a picture, and the course of what varies over a scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.outcome import Profile
from nanobrag_torch.refine.varying import Course

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
"""Curves side by side."""


def _shown(profile: Profile, value: float | None) -> float | None:
    """A value in the user's unit."""
    if value is None:
        return None
    return float(QUANTITIES[profile.name].shown(torch.tensor(value, dtype=torch.float64)))


def rows_of(profiles: Sequence[Profile], factor: float) -> list[dict[str, Any]]:
    """What refined.json says of profiles, in the user's units.

    Args:
        profiles: of a refinement.
        factor: what standard deviations are multiplied by; the interval ends where -2 ln L rises by its square.
    """
    found = []
    for one in profiles:
        low, high = one.interval(factor)
        found.append(
            {
                "name": one.name,
                "index": one.index,
                "experiment": one.shot,
                "unit": QUANTITIES[one.name].unit,
                "best": _shown(one, one.best),
                "low": _shown(one, low),
                "high": _shown(one, high),
                "sigma": _shown(one, one.sigma * factor),
                "level": factor**2,
                "values": [_shown(one, value) for value in one.values.tolist()],
                "deviance": one.deviance.tolist(),
            }
        )
    return found


def lines_of(profiles: Sequence[Profile], factor: float) -> list[str]:
    """A line on each profile."""
    lines = []
    for row in rows_of(profiles, factor):
        name = f"{row['name']}[{row['index']}]"
        ends = [
            "no limit" if row[side] is None else f"{sign}{abs(row[side] - row['best']):.2g}"
            for side, sign in (("low", "-"), ("high", "+"))
        ]
        text = f"  {name:<20} {row['best']:>12.6g} {ends[0]} {ends[1]} {row['unit']}".rstrip()
        lines.append(f"{text} by its profile, +- {row['sigma']:.2g} by the information")
    return lines


def figure_of(profiles: Sequence[Profile], factor: float) -> Figure:
    """The curves beside the parabolas of the covariance, with the intervals of one standard deviation."""
    from matplotlib.figure import Figure

    count = -(-len(profiles) // COLUMNS)
    figure = Figure(figsize=(10.5, 2.7 * count), layout="constrained")
    axes = figure.subplots(count, COLUMNS, squeeze=False)
    for axis, one, row in zip(axes.flat, profiles, rows_of(profiles, factor), strict=False):
        values, best = np.array(row["values"]), row["best"]
        wide = np.linspace(values.min(), values.max(), 101)
        level = row["level"]
        axis.plot(wide, level * ((wide - best) / row["sigma"]) ** 2, "0.6", lw=1, label="covariance")
        axis.plot(values, one.deviance, ".-", label="profile")
        axis.axhline(level, color="0.8", lw=1)
        inside = [
            values.min() if row["low"] is None else row["low"],
            values.max() if row["high"] is None else row["high"],
        ]
        axis.axvspan(*inside, color="C0", alpha=0.15, lw=0)
        place = f", experiment {one.shot}" if any(p.shot for p in profiles) else ""
        axis.set(
            xlabel=f"{one.name}[{one.index}] ({row['unit']}){place}" if row["unit"] else f"{one.name}[{one.index}]"
        )
        axis.set(ylabel="Δ(−2 ln L)", ylim=(0.0, 1.1 * float(one.deviance.max()) + 1e-9))
        axis.locator_params(axis="x", nbins=4)
        axis.legend(fontsize=7)
    for axis in axes.flat[len(profiles) :]:
        axis.set_visible(False)
    return figure


def courses_figure(courses: Sequence[Course]) -> Figure:
    """Each quantity less its mean over the images, with a band of one standard deviation on both sides."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.0), layout="constrained")
    for axis, course in zip(figure.subplots(1, len(courses), squeeze=False).flat, courses, strict=True):
        away = course.values - course.values.mean(axis=0)
        for column in range(away.shape[1]):
            if not course.sigma[:, column].any():
                continue
            low, high = (away[:, column] + sign * course.sigma[:, column] for sign in (-1.0, 1.0))
            label = f"[{column}] {course.values[:, column].mean():.6g}"
            axis.plot(course.places, away[:, column], color=f"C{column}", label=label)
            axis.fill_between(course.places, low, high, color=f"C{column}", alpha=0.2, lw=0)
        axis.set(xlabel="image", ylabel=f"{course.name} − mean ({course.unit})")
        axis.legend(fontsize=7)
    return figure
