"""Any image file becomes pictures: the format is seen from the content, the geometry from header or hints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.cbf import LEFT_OUT, NOT_RENDERED, read_cbf
from nanobrag_torch.io.files import PathLike, read_bytes
from nanobrag_torch.io.pgm import read_pgm
from nanobrag_torch.io.raw import read_float_image
from nanobrag_torch.io.reading import LARGEST_DATA, unpacked
from nanobrag_torch.io.scene import Scene, SceneBeam
from nanobrag_torch.io.smv import read_smv
from nanobrag_torch.units import DEFAULT_FLUENCE
from nanobrag_torch.view.headers import Said, scene_of_cbf, scene_of_smv, smv_size
from nanobrag_torch.view.pictures import Picture, native, panel_name

CBF_MEANINGS = {NOT_RENDERED: "not rendered", LEFT_OUT: "masked"}
NEXUS_MEANINGS = {-1: "not measured"}
_CLASSIC_HEADERS = ("intimage.img", "noiseimage.img")


@dataclass(frozen=True)
class Hints:
    """What the files themselves do not say.

    Args:
        size: pixels (fast, slow) of files without a header.
        header: SMV file whose header describes files without one.
        scene: geometry and crystal, taking the place of what headers say.
        frame: which image of a file with several, from 1.
        outside: whether a NeXus file may lead to files outside its folder.
    """

    size: tuple[int, int] | None = None
    header: PathLike | None = None
    scene: Scene | None = None
    frame: int = 1
    outside: bool = False


def read_pictures(path: PathLike, hints: Hints | None = None) -> list[Picture]:
    """The panels of an image file: float image, SMV, PGM, miniCBF or NeXus.

    Raises:
        FileFormatError: the file cannot be read.
        InputError: the size of a file without header is not known, or there is no such frame.
    """
    hints = hints or Hints()
    start = unpacked(path, read_bytes(path), LARGEST_DATA)[:16]
    if start.startswith(b"\x89HDF"):
        return _nexus(path, hints)
    if start.startswith(b"###CBF"):
        counts, header = read_cbf(path)
        said = scene_of_cbf(header, counts.shape)
        return [_single(path, hints, counts, said, CBF_MEANINGS)]
    if start.startswith(b"{\nHEADER_BYT"):
        content, _ = read_smv(path)
        return [_single(path, hints, content, scene_of_smv(path))]
    if start.startswith(b"P5"):
        return [_single(path, hints, read_pgm(path), Said(None, "a PGM has no geometry"))]
    return _floats(path, hints)


def _single(
    path: PathLike, hints: Hints, pixels: np.ndarray, said: Said, meanings: dict[int, str] | None = None
) -> Picture:
    """A picture from a file with one panel."""
    scene, notes = said.scene, (said.note,) if said.note else ()
    if hints.scene is not None:
        scene, notes = _fitting(path, hints.scene, [pixels]), ()
    return Picture(Path(path).name, native(pixels), scene, 0, meanings or {}, notes)


def _fitting(path: PathLike, scene: Scene, panels: Iterable[np.ndarray]) -> Scene:
    """The scene, if it has the panels of a file.

    Raises:
        InputError: other sizes.
    """
    sizes = [(p.shape[1], p.shape[0]) for p in panels]
    wanted = [(p.pixels_f, p.pixels_s) for p in scene.panels]
    if sizes != wanted:
        said, found = (", ".join(f"{f} x {s}" for f, s in x) for x in (wanted, sizes))
        raise InputError(str(path), f"{found} pixels, but the scene that was given has {said}", "give the scene of it")
    return scene


def _floats(path: PathLike, hints: Hints) -> list[Picture]:
    """A file of numbers without a header."""
    header = hints.header or _companion(path)
    if hints.scene is not None:
        panels = hints.scene.panels
        if len(panels) > 1:
            raise InputError(str(path), f"a float image of a detector with {len(panels)} panels", "use NeXus for that")
        pixels = read_float_image(path, panels[0].pixels_f, panels[0].pixels_s)
        return [_single(path, hints, pixels, Said(None, ""))]
    if hints.size is not None:
        note = "geometry unknown: give an SMV header, or the command line behind --"
        return [_single(path, hints, read_float_image(path, *hints.size), Said(None, note))]
    if header is None:
        size = Path(path).stat().st_size if Path(path).is_file() else None
        if size is None:
            read_bytes(path)
        raise InputError(
            str(path),
            f"{size} bytes without a header",
            "give --size FAST SLOW, --header FILE, or the command line that made it behind --",
        )
    fast, slow = smv_size(header)
    said = scene_of_smv(header)
    note = f"geometry from {Path(header).name}" + (f"; {said.note}" if said.note else "")
    return [_single(path, hints, read_float_image(path, fast, slow), Said(said.scene, note))]


def _companion(path: PathLike) -> Path | None:
    """The SMV file that stands beside a float image: of the same stem, or one of the classic names."""
    here = Path(path)
    for candidate in (here.with_suffix(".img"), *(here.with_name(name) for name in _CLASSIC_HEADERS)):
        if candidate.is_file():
            try:
                fast, slow = smv_size(candidate)
            except FileFormatError:
                continue
            if here.is_file() and 4 * fast * slow == here.stat().st_size:
                return candidate
    return None


def _nexus(path: PathLike, hints: Hints) -> list[Picture]:
    """One frame of a NeXus file, panel by panel."""
    from nanobrag_torch.io.apart import read_nexus_apart
    from nanobrag_torch.io.nexus import layout

    frame = hints.frame - 1
    if frame < 0:
        raise InputError("--frame", f"{hints.frame} is no frame", "count from 1")
    content = read_nexus_apart(path, slice(frame, frame + 1), hints.outside)
    if not len(content.data):
        raise InputError("--frame", f"{path} has no frame {hints.frame}", "give another")
    beam = SceneBeam(
        direction=np.array([0.0, 0.0, 1.0]),
        wavelength=content.wavelength,
        wavelengths=np.array([content.wavelength]),
        weights=np.ones(1),
        polarization_axis=np.array([1.0, 0.0, 0.0]),
        polarization_factor=0.0,
        fluence=DEFAULT_FLUENCE,
    )
    scene = Scene(
        content.panels,
        beam,
        content.spindle,
        float(content.phi[0]) if len(content.phi) else 0.0,
        content.osc,
        content.cell,
        curved=content.curved,
    )
    _, starts = layout(content.panels)
    arrays = [
        content.data[0, start : start + panel.pixels_s, : panel.pixels_f]
        for start, panel in zip(starts, content.panels, strict=True)
    ]
    if hints.scene is not None:
        scene = replace(_fitting(path, hints.scene, arrays), phi=scene.phi, osc=scene.osc)
    whole = np.issubdtype(content.data.dtype, np.integer)
    name = Path(path).name + (f", frame {hints.frame}" if hints.frame > 1 else "")
    meanings = NEXUS_MEANINGS if whole else {}
    return [
        Picture(panel_name(name, scene, i), native(np.ascontiguousarray(pixels)), scene, i, meanings, frame=hints.frame)
        for i, pixels in enumerate(arrays)
    ]
