"""The page: markup, style, program and pixels in one file that needs nothing else."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.files import PathLike, whole_file
from nanobrag_torch.io.rings import marks
from nanobrag_torch.io.scene import SQUARE, Scene, rotation
from nanobrag_torch.units import mm_from_metres
from nanobrag_torch.view.pictures import Picture

COMPRESSION = 4
_SAMPLE = 100_000


def write_page(path: PathLike, pictures: Sequence[Picture], title: str = "", *, film: bool = False) -> None:
    """Write the page of some pictures, side by side or one after the other as a film.

    Raises:
        InputError: the file cannot be written, or the images of a film differ in size.
    """
    _check_film(pictures, film)
    with whole_file(path) as file:
        for part in _parts(pictures, title, film):
            file.write(part.encode("utf-8"))


def page(pictures: Sequence[Picture], title: str = "", *, film: bool = False) -> str:
    """The page of some pictures: one self-contained HTML text.

    Raises:
        InputError: the images of a film differ in size.
    """
    _check_film(pictures, film)
    return "".join(_parts(pictures, title, film))


def _check_film(pictures: Sequence[Picture], film: bool) -> None:
    for panel in {p.panel for p in pictures} if film else ():
        sizes = {p.pixels.shape for p in pictures if p.panel == panel}
        if len(sizes) > 1:
            raise InputError("--film", "the images differ in size", "give those of one series")


def _parts(pictures: Sequence[Picture], title: str, film: bool) -> Iterator[str]:
    """The page in pieces, so that a large one is not held twice."""
    if not pictures:
        raise ValueError("a page needs a picture")
    frame = _asset("page.html")
    before, rest = frame.split("{{DATA}}")
    words = {
        "{{TITLE}}": html.escape(title or ", ".join(picture.name for picture in pictures)),
        "{{STYLE}}": _asset("viewer.css"),
        "{{INFO}}": json.dumps([_facts(p, film) for p in pictures], allow_nan=False).replace("<", "\\u003c"),
        "{{PROGRAM}}": _asset("viewer.js"),
    }
    yield _filled(before, words)
    for index, picture in enumerate(pictures):
        yield f'<script type="application/octet-stream" id="data{index}">{packed(picture.pixels)}</script>\n'
    yield _filled(rest, words)


def _filled(text: str, words: dict[str, str]) -> str:
    """A text with every mark replaced; what takes their place is not looked at again."""
    return re.sub("|".join(map(re.escape, words)), lambda found: words[found[0]], text)


def _asset(name: str) -> str:
    return files("nanobrag_torch.view").joinpath(name).read_text(encoding="utf-8")


def packed(pixels: NDArray[Any]) -> str:
    """Pixels [slow, fast] as base64 of deflated byte planes: first the lowest byte of every pixel, and so on."""
    values = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    planes = values.reshape(-1).view(np.uint8).reshape(-1, values.dtype.itemsize).T
    return base64.b64encode(zlib.compress(np.ascontiguousarray(planes).tobytes(), COMPRESSION)).decode("ascii")


def _facts(picture: Picture, film: bool) -> dict[str, Any]:
    """What the program has to know about a picture besides its pixels; those of one panel share a pane in a film."""
    slow, fast = picture.pixels.shape
    facts: dict[str, Any] = {
        "name": picture.name,
        "type": picture.pixels.dtype.name,
        "fast": fast,
        "slow": slow,
        "levels": _levels(picture),
        "meanings": {str(value): text for value, text in picture.meanings.items()},
        "notes": list(picture.notes),
        "pane": picture.panel if film else None,
        "diverging": picture.diverging,
        "spots": [
            {"kind": s.kind, "places": np.round(s.places, 2).tolist(), "hkl": s.indices.tolist()} for s in picture.spots
        ],
    }
    if picture.scene is None:
        return facts
    if picture.scene.curved:
        facts["notes"].append("curved detector: no resolution is shown")
        return facts
    facts["geometry"] = _geometry(picture.scene, picture.panel)
    found = marks(picture.scene, picture.panel)
    facts["rings"] = [{"d": r.spacing, "lines": [line.round(2).tolist() for line in r.lines]} for r in found.rings]
    facts["beam"] = found.beam
    return facts


def _geometry(scene: Scene, index: int) -> dict[str, Any]:
    """Position of a pixel (metres), beam, wavelength, and the cell as it stands in the middle of the image."""
    panel = scene.panels[index]
    seen_by_beam = abs(scene.beam.direction @ panel.normal) > SQUARE
    cell = None
    if scene.cell is not None:
        cell = (scene.cell @ rotation(scene.spindle, scene.phi + scene.osc / 2.0).T).tolist()
    return {
        "origin": panel.origin.tolist(),
        "fast": (panel.fast * panel.pixel_size).tolist(),
        "slow": (panel.slow * panel.pixel_size).tolist(),
        "beam": scene.beam.direction.tolist(),
        "wavelength": scene.beam.wavelength,
        "distance": mm_from_metres(panel.meets(scene.beam.direction)[2]) if seen_by_beam else None,
        "cell": cell,
    }


def _levels(picture: Picture) -> list[float]:
    """Quantiles 0, 1, ... 100 % of the measured values > 0 of a sample, then the 99.9th and the largest of all."""
    values = picture.pixels.reshape(-1)
    if picture.diverging:
        values = np.abs(values)
    sample = values[:: max(1, values.size // _SAMPLE)].astype(np.float64)
    sample = sample[np.isfinite(sample) & (sample > 0)]
    finite = values[np.isfinite(values)] if np.issubdtype(values.dtype, np.floating) else values
    largest = float(finite.max(initial=0)) if finite.size else 0.0
    if not sample.size:
        return [0.0] * 101 + [largest, largest]
    return [*map(float, np.percentile(sample, [*range(101), 99.9])), largest]
