"""One page to look at a data set: a contact sheet with its labels, and the distribution of every parameter."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanobrag_torch.dataset.images import Sample
from nanobrag_torch.dataset.making import MANIFEST, read_manifest
from nanobrag_torch.dataset.shards import open_shard
from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.files import whole_file
from nanobrag_torch.io.registry import FileRegistry

MOST_SAMPLES = 2000
"""Images whose parameters make the distributions, spread evenly over the set."""
SHARDS_READ = 20
ROUNDING = 1e-9
SUMMARY = ("image mean", "image maximum", "reflections", "partiality", "d (Å)", "expected photons")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em auto; max-width: 1200px; padding: 0 1em; color: #222 }
img { max-width: 100% } figure { margin: 0 0 1.5em } pre { background: #f5f5f5; padding: 1em; overflow-x: auto }
table { border-collapse: collapse } td, th { padding: .15em .8em .15em 0; text-align: left }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd } pre { background: #292929 }
img { background: #fff } }
"""


def write_look(folder: Path, page: Path, images: int) -> None:
    """Write the page, and a JSON file of the same name with the numbers.

    Args:
        folder: a data set, which need not be complete.
        page: the page's file.
        images: how many to show.

    Raises:
        FileFormatError: there is no data set, or no shard of it.
        InputError: the page cannot be written.
    """
    manifest = read_manifest(folder)
    known = FileRegistry()
    for path in (folder / MANIFEST, *(part for record in _records(folder) for part in (record, folder / record.stem))):
        known.reads(path, "the data set")
    for path in (page, page.with_suffix(".json")):
        known.writes(path, "-o")
    samples = list(_some(folder, manifest))
    if not samples:
        raise FileFormatError(folder, "", "no shard of it is finished yet")
    columns = _columns(samples)
    numbers = {name: _statistics(values) for name, values in columns.items()}
    shown = samples[:: max(len(samples) // images, 1)][:images]
    body = [
        f"<h1>{html.escape(str(folder.resolve().name))}</h1>",
        _facts(manifest, samples),
        "<h2>Images</h2><p>Circles: labelled reflections, larger with partiality; crosses: they overlap.</p>",
        _figure(_contact_sheet(shown), "images of the data set with their labels"),
        "<h2>Distributions</h2>",
        _figure(_histograms(columns), "distributions of all parameters"),
        "<h2>Description</h2>",
        f"<pre>{html.escape(manifest['description'] or json.dumps(manifest['population'], indent=1))}</pre>",
    ]
    text = f"<!doctype html><meta charset=utf-8><title>Data set</title><style>{_STYLE}</style>{''.join(body)}"
    with whole_file(page, "-o") as handle:
        handle.write(text.encode())
    with whole_file(page.with_suffix(".json"), "-o") as handle:
        handle.write(json.dumps({"images": len(samples), "parameters": numbers}, indent=1).encode())


def _records(folder: Path) -> list[Path]:
    """The records of finished shards."""
    return sorted(path for path in folder.glob("*.json") if (folder / path.stem).exists())


def _some(folder: Path, manifest: dict[str, Any]) -> Iterator[Sample]:
    """Samples spread over the finished shards."""
    records = _records(folder)
    chosen = records[:: max(len(records) // SHARDS_READ, 1)][:SHARDS_READ]
    for path in chosen:
        shard = open_shard(folder / path.stem)
        step = max(len(shard) * len(chosen) // MOST_SAMPLES, 1)
        yield from (shard[place] for place in range(0, len(shard), step))


def _columns(samples: Sequence[Sample]) -> dict[str, np.ndarray[Any, Any]]:
    """Numbers or texts by name: summaries, then every parameter, one column per component."""
    tables = [sample.reflections for sample in samples if sample.reflections]
    found: dict[str, Any] = {
        "image mean": [float(s.image.mean()) for s in samples],
        "image maximum": [int(s.image.max()) for s in samples],
    }
    if tables:
        found["reflections"] = [len(table["h"]) for table in tables]
        found["partiality"] = np.concatenate([table["partiality"] for table in tables])
        found["d (Å)"] = np.concatenate([table["d"] for table in tables])
        found["expected photons"] = np.concatenate([table["expected"] for table in tables])
    for name in samples[0].parameters:
        values = [sample.parameters[name] for sample in samples]
        if isinstance(values[0], list):
            for place in range(len(values[0])):
                found[f"{name} [{place}]"] = [value[place] for value in values]
        else:
            found[name] = values
    return {name: np.asarray(values) for name, values in found.items() if not name.startswith("cell_vectors")}


def _statistics(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    if values.dtype.kind not in "iuf":
        names, counts = np.unique(values, return_counts=True)
        return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    if not values.size:
        return {"count": 0}
    return {
        "count": int(values.size),
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "smallest": float(values.min()),
        "median": float(np.median(values)),
        "largest": float(values.max()),
    }


def _facts(manifest: dict[str, Any], samples: Sequence[Sample]) -> str:
    population = manifest["population"]
    state = "complete" if manifest["complete"] else "not complete"
    rows = {
        "images": f"{population['images']} ({state}); {len(samples)} looked at here",
        "seed": population["seed"],
        "size": " x ".join(map(str, samples[0].image.shape)) + " pixels (slow x fast)",
        "shards": f"{population['shards']['file']}, {population['shards']['images']} images each",
        "made by": ", ".join(f"{name} {version}" for name, version in manifest["versions"].items()),
    }
    lines = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(str(v))}</td></tr>" for n, v in rows.items())
    return f"<table>{lines}</table>"


def _contact_sheet(samples: Sequence[Sample]) -> Any:
    across = min(6, len(samples))
    down = -(-len(samples) // across)
    figure = _new_figure(2.9 * across, 3.1 * down)
    for place, sample in enumerate(samples, start=1):
        axes = figure.add_subplot(down, across, place)
        image = sample.image if sample.image.ndim == 2 else sample.image[0]
        top = max(float(np.percentile(image, 99.7)), float(image.min()) + 1.0)
        axes.imshow(image, cmap="gray_r", vmin=float(image.min()), vmax=top, interpolation="nearest")
        if sample.reflections:
            table = {name: column[sample.reflections["panel"] == 0] for name, column in sample.reflections.items()}
            alone = table["overlap"] == 0
            # Pixel k reaches from k to k + 1; the picture's axes put its centre at k.
            x, y = table["fast"] - 0.5, table["slow"] - 0.5
            size = 8 + 60 * table["partiality"]
            axes.scatter(x[alone], y[alone], size[alone], facecolors="none", edgecolors="#d62728", linewidths=0.6)
            axes.scatter(x[~alone], y[~alone], 10, marker="x", c="#1f77b4", linewidths=0.5)
            axes.set_xlim(-0.5, image.shape[1] - 0.5)
            axes.set_ylim(image.shape[0] - 0.5, -0.5)
        axes.set_title(f"image {sample.number}", fontsize=8)
        axes.set_axis_off()
    return figure


def _histograms(columns: dict[str, np.ndarray[Any, Any]]) -> Any:
    varied = {name: v for name, v in columns.items() if v.size and (name in SUMMARY or _varies(v))}
    across = 5
    down = -(-len(varied) // across)
    figure = _new_figure(2.6 * across, 2.0 * down)
    for place, (name, values) in enumerate(varied.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        if values.dtype.kind in "iuf":
            centre = float(values[0])
            limits = None if _varies(values) else (centre - 0.5, centre + 0.5)
            axes.hist(values, bins=30, range=limits, color="#4477aa")
        else:
            names, counts = np.unique(values, return_counts=True)
            axes.barh([str(n)[-18:] for n in names], counts, color="#4477aa")
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=6)
    figure.tight_layout()
    return figure


def _varies(values: np.ndarray[Any, Any]) -> bool:
    """Whether values differ by more than rounding."""
    if values.dtype.kind not in "iuf":
        return len(np.unique(values)) > 1
    return bool(np.ptp(values) > ROUNDING * np.abs(values).max())


def _new_figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=None)
    FigureCanvasAgg(figure)
    return figure


def _figure(figure: Any, what: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<figure><img alt="{html.escape(what)}" src="data:image/png;base64,{content}"></figure>'
