"""`report.html`: what a person looks at first after a refinement, in one file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch import __version__
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.curves import courses_figure, figure_of, lines_of
from nanobrag_torch.refine.measures import Summary
from nanobrag_torch.refine.varying import courses_of
from nanobrag_torch.refine.written import cell_of, label_of, numbers_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nanobrag_torch.refine.result import Result

SHOWN = 5
"""Best and worst spots that are shown."""
MOST_SHOTS = 12
"""Shots whose numbers are listed one by one."""
STRONG = 0.95
"""Correlation from which two parameters are named together."""
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em auto; max-width: 1100px; padding: 0 1em; color: #222 }
img { max-width: 100% } figure { margin: 0 0 1.5em } pre { background: #f5f5f5; padding: 1em; overflow-x: auto }
table { border-collapse: collapse; margin-bottom: 1em } td, th { padding: .15em .9em .15em 0; text-align: right }
td:first-child, th:first-child { text-align: left }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd } pre { background: #292929 }
img { background: #fff } }
"""


def page_of(result: Result, said: Mapping[str, Any]) -> str:
    """The page."""
    refined = result.refined
    state = "converged" if refined.converged else "stopped before it converged"
    body = [
        f"<h1>{html.escape(result.job.expt)}</h1>",
        f"<p>Refined by nanobrag_torch {__version__}: {state} after {len(refined.losses) - 1} steps; reduced "
        f"chi-square {refined.chi_square:.3f}{_inflated(result)}.</p>",
        f"<pre>{html.escape(str(said.get('command', '')))}</pre>" if said.get("command") else "",
        "<h2>Agreement</h2>",
        _agreement(result),
        _unexplained(result),
        "<h2>Parameters</h2>",
        _parameters(result),
        _strong(result),
        _profiles(result),
        _varying(result),
        "<h2>Spots, the best and the worst</h2><p>Photons observed, modelled, and the residuals in standard "
        "deviations, summed over the images of each spot.</p>",
        _picture(_spots(result), "observed, modelled and residual pixels of spots"),
        "<h2>Residuals</h2>",
        _picture(_residuals(result), "distribution of residuals, and where they lie"),
        "<h2>The way there</h2>",
        _picture(_path(result), "loss and parameters step by step"),
    ]
    title = html.escape(result.job.expt)
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>{''.join(body)}\n"


def _inflated(result: Result) -> str:
    if result.sigma_factor <= 1.0:
        return ""
    return f", and standard deviations are multiplied by its root, {result.sigma_factor:.2f}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(x)}</th>" for x in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(x)}</td>" for x in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def _agreement(result: Result) -> str:
    head = (
        "",
        "spots",
        "|Δ fast|",
        "|Δ slow|",
        "Δ image",
        "correlation",
        "of logarithms",
        "model/seen",
        "χ² per pixel",
    )
    rows = []
    for place, found in list(enumerate(result.summaries))[:MOST_SHOTS]:
        for name in ("before", "after", "left_out"):
            one = found.get(name)
            if one is not None:
                label = {"before": "at the start", "after": "refined", "left_out": "images left out"}[name]
                rows.append((f"{place}: {label}" if len(result.summaries) > 1 else label, *_summary(one)))
    note = "<p>Medians over spots of more than 100 photons; pixels, and images of the sweep (signed).</p>"
    return _rows(head, rows) + note


def _unexplained(result: Result) -> str:
    told = [
        f"{' '.join(str(x) for x in hkl)} of experiment {place} ({seen:.0f} photons seen, {drawn:.3g} expected)"
        for place, hkl, seen, drawn in result.strange
    ]
    text = "; ".join(told[:20]) + (" ..." if len(told) > 20 else "")
    return f"<p>Left out, as the start does not explain them at all: {html.escape(text)}.</p>" if told else ""


def _summary(one: Summary) -> tuple[str, ...]:
    return (
        str(one.spots),
        *(f"{x:.3f}" for x in (one.fast, one.slow, one.image)),
        *(f"{x:.4f}" for x in (one.correlation, one.log_correlation)),
        *(f"{x:.3f}" for x in (one.ratio, one.chi_square)),
    )


def _deviation(number: Mapping[str, Any]) -> str:
    return f"at its {number['at_bound']}" if number["at_bound"] else f"{number['sigma']:.2g}"


def _parameters(result: Result) -> str:
    parts = []
    for place, estimate in list(enumerate(result.refined.shots))[:MOST_SHOTS]:
        rows = [
            (label_of(n), f"{n['value']:.6g}", _deviation(n), n["unit"])
            for n in numbers_of(estimate, result.sigma_factor)
        ]
        cell = "cell " + ", ".join(f"{x:.4f}" for x in cell_of(estimate))
        parts.append((f"<h3>Experiment {place}</h3>" if len(result.summaries) > 1 else "") + f"<p>{cell}</p>")
        parts.append(_rows(("parameter", "value", "standard deviation", "unit"), rows))
    return "".join(parts)


def _strong(result: Result) -> str:
    """Pairs of parameters that are hardly told apart."""
    estimate = result.refined.shots[0]
    names = [f"{name}[{i}]" for name, i in estimate.columns]
    table = estimate.correlations.numpy()
    pairs = [(abs(table[i, j]), i, j) for i in range(len(names)) for j in range(i)]
    told = [f"{names[i]} and {names[j]} ({table[i, j]:+.3f})" for size, i, j in sorted(pairs)[::-1] if size > STRONG]
    return f"<p>Strongly correlated: {html.escape('; '.join(told[:12]))}.</p>" if told else ""


def _varying(result: Result) -> str:
    """How the crystals went over their scans."""
    shots = list(zip(result.refined.shots, result.measured, strict=True))[:MOST_SHOTS]
    parts = []
    for place, (estimate, measured) in enumerate(shots):
        courses = [c for c in courses_of(estimate, measured, result.sigma_factor) if c.sigma.any()]
        if courses:
            name = f" of experiment {place}" if len(shots) > 1 else ""
            parts.append(f"<h3>Course over the scan{name}</h3>{_picture(courses_figure(courses), 'what varies')}")
    note = "<p>Less the mean over the images; the bands are one standard deviation wide on both sides.</p>"
    return "".join(parts) + note if parts else ""


def _profiles(result: Result) -> str:
    """The profile likelihoods that were asked for."""
    profiles = result.refined.profiles
    if not profiles:
        return ""
    lines = "\n".join(line.strip() for line in lines_of(profiles, result.sigma_factor))
    picture = _picture(
        figure_of(profiles, result.sigma_factor), "profile likelihoods beside the parabolas of the covariance"
    )
    return (
        "<h3>Profile likelihoods</h3><p>How much less likely the counts are when one number is held and all others are "
        "refined again; shaded, one standard deviation.</p>"
        f"<pre>{html.escape(lines)}</pre>{picture}"
    )


def _picture(figure: Figure, text: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<figure><img alt="{html.escape(text)}" src="data:image/png;base64,{data}"></figure>'


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _spots(result: Result) -> Figure:
    """Images of the best and worst spots of the first shot."""
    spots = result.spots[0]
    bright = np.flatnonzero(spots.bright())
    order = bright[np.argsort(spots.chi_square[bright])] if len(bright) else np.arange(min(len(spots.rows), SHOWN))
    chosen = list(order[:SHOWN]) + [i for i in order[-SHOWN:] if i not in order[:SHOWN]]
    figure = _figure(10.5, 4.0)
    if not chosen:
        return figure
    axes = figure.subplots(3, len(chosen), squeeze=False)
    for column, spot in enumerate(chosen):
        seen, model, residual = _maps(result, int(spots.rows[spot]))
        top = float(np.nanmax(np.maximum(seen, model))) or 1.0
        for axis, values in zip(axes[:2, column], (seen, model), strict=True):
            axis.imshow(values, cmap="gray_r", vmin=0.0, vmax=top, origin="upper")
        axes[2, column].imshow(residual, cmap="RdBu_r", vmin=-5.0, vmax=5.0, origin="upper")
        hkl = " ".join(str(int(x)) for x in spots.indices[spot])
        axes[0, column].set_title(f"{hkl}\n{spots.observed[spot]:.0f} ph, χ² {spots.chi_square[spot]:.2f}", fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, name in zip(axes[:, 0], ("observed", "model", "residual"), strict=True):
        axis.set_ylabel(name)
    return figure


def _maps(result: Result, row: int) -> tuple[NDArray[np.float64], ...]:
    """Observed, modelled [slow, fast] photons and mean residuals of a reflection, summed over images."""
    gathered, pixels = result.gathered[0], result.pixels[0]
    shot = gathered.shot
    assert shot.labels is not None
    own = gathered.rows[shot.labels.numpy()] == row
    where = shot.observation.pixels.numpy()[own, 1:]
    low = where.min(axis=0)
    shape = tuple(where.max(axis=0) - low + 1)
    seen, model, residual = (np.zeros(shape) for _ in range(3))
    place = tuple((where - low).T)
    np.add.at(seen, place, shot.observation.values.numpy()[own] / result.job.noise.gain)
    np.add.at(model, place, (pixels.spots + pixels.behind)[own])
    count = np.zeros(shape)
    np.add.at(residual, place, pixels.residuals[own])
    np.add.at(count, place, 1.0)
    blank = count == 0
    for values in (seen, model, residual):
        values[blank] = np.nan
    return seen, model, residual / np.sqrt(np.maximum(count, 1.0))


def _residuals(result: Result) -> Figure:
    figure = _figure(10.5, 6.4)
    axes = figure.subplots(2, 2)
    residual = np.concatenate([p.residuals for p in result.pixels])
    bins = np.linspace(-6, 6, 61)
    axes[0, 0].hist(np.clip(residual, -6, 6), bins=bins, density=True, color="0.6")
    axes[0, 0].plot(bins, np.exp(-0.5 * bins**2) / np.sqrt(2 * np.pi), "k", lw=1)
    axes[0, 0].set(xlabel="residual (standard deviations)", ylabel="density", yscale="log", ylim=(1e-5, 2))
    observed, expected, resolution, place = _bright(result)
    if len(observed):
        axes[0, 1].loglog(observed, expected, ".")
        ends = np.array([observed.min(), observed.max()])
        axes[0, 1].loglog(ends, ends, "0.7", lw=1)
        axes[1, 0].plot(1.0 / resolution**2, expected / observed, ".")
        axes[1, 0].axhline(1.0, color="0.7", lw=1)
        arrows = axes[1, 1].quiver(
            place[:, 0], place[:, 1], place[:, 2], place[:, 3], angles="xy", scale_units="xy", scale=0.005, width=0.004
        )
        axes[1, 1].quiverkey(arrows, 0.85, 1.04, 0.5, "0.5 pixel", labelpos="E")
        axes[1, 1].invert_yaxis()
        axes[1, 1].set_aspect("equal", "datalim")
    axes[0, 1].set(xlabel="observed photons", ylabel="modelled photons")
    axes[1, 0].set(xlabel="1/d² (1/Å²)", ylabel="modelled / observed")
    axes[1, 1].set(xlabel="fast (pixel)", ylabel="slow (pixel)", title="observed − modelled")
    return figure


def _bright(result: Result) -> tuple[NDArray[np.float64], ...]:
    """Observed, expected, d (Å), and place with offset [n, 4] of the bright spots of all shots."""
    observed, expected, resolution, places = [], [], [], []
    for gathered, spots, estimate in zip(result.gathered, result.spots, result.refined.shots, strict=True):
        good = spots.bright()
        rows = spots.rows[good]
        observed.append(spots.observed[good])
        expected.append(spots.expected[good])
        cell = estimate.experiment.crystal.cell
        assert cell is not None
        import gemmi

        unit = gemmi.UnitCell(*cell_of(estimate))
        resolution.append(np.array([unit.calculate_d([int(x) for x in hkl]) for hkl in spots.indices[good]]))
        box = gathered.table.boxes[rows]
        middle = np.column_stack([0.5 * (box[:, 0] + box[:, 1]), 0.5 * (box[:, 2] + box[:, 3])])
        places.append(np.column_stack([middle, spots.offset[good, :2]]))
    return tuple(np.concatenate(x) for x in (observed, expected, resolution, places))


def _path(result: Result) -> Figure:
    figure = _figure(10.5, 3.4)
    first, second = figure.subplots(1, 2)
    losses = np.array(result.refined.losses)
    first.semilogy(np.maximum(losses - losses[-1], 1e-3), ".-")
    first.set(xlabel="step", ylabel="half the deviance above the last")
    estimate, path = result.refined.shots[0], result.refined.path
    if path and path[0].numel():
        values = np.array([p.numpy() for p in path])
        sigma = estimate.sigma.numpy()[: values.shape[1]]
        for column, (name, index) in enumerate(estimate.columns[: values.shape[1]]):
            if sigma[column] > 0 and name in QUANTITIES:
                away = (values[:, column] - values[-1, column]) / sigma[column]
                second.plot(np.arcsinh(away), lw=1, label=f"{name}[{index}]")
        second.legend(fontsize=6, ncols=2)
    second.set(xlabel="step", ylabel="arsinh(distance from the end / σ)")
    return figure
