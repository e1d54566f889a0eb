"""Which pixels of a detector can be used, from a mask in a file.

Masks come as an image of two values (TIFF, CBF, SMV, NPY), as `pixel_mask` of a NeXus file, or as the rectangles of the
panels of an experiment list. DIALS keeps its own masks as pickles. Loading a pickle runs whatever its author put there,
so none is ever opened: `CONVERT` turns one into an array where DIALS is installed.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import FileFormatError, InputError, NanobragWarning
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import DetectorModel
from nanobrag_torch.io.frame_files import open_frames, read_pixel_mask, read_tiff
from nanobrag_torch.io.reading import PathLike, read_bytes, read_start, understood
from nanobrag_torch.refine.frames import Bits, split, without_rectangles

CONVERT = (
    'dials.python -c "import numpy, pickle, sys; from dials.array_family import flex; '
    "numpy.save(sys.argv[2], [panel.as_numpy_array() for panel in pickle.load(open(sys.argv[1], 'rb'))])\""
)
"""What turns a mask of DIALS into an array [panels, slow, fast]; the names of the two files follow it."""
_PICKLES, _LISTS = (".mask", ".pickle", ".pkl"), (".expt", ".json")
_PICKLE, _NPY, _HDF5, _TIFF = (b"\x80", b"\x93NUMPY", b"\x89HDF\r\n\x1a\n", (b"II*\x00", b"MM\x00*"))
_MOSTLY = 0.5
"""Part of the detector from which on a mask that leaves out so much is questioned."""


def read_mask(path: PathLike, detector: DetectorModel, *, ones_bad: bool = False) -> tuple[Bits, ...]:
    """The pixels [slow, fast] per panel that a mask allows.

    In an image 0 marks a pixel that is left out, as in masks of DIALS; in `pixel_mask` of NeXus it marks a good one.

    Args:
        path: TIFF, CBF, SMV or NPY of zeros and one other value; HDF5 with a `pixel_mask`; or an experiment list, whose
            panels have rectangles without meaning.
        detector: that the mask has to fit: an image [slow, fast] holds all panels at their offsets or one below the
            other, an array [panels, slow, fast] one after the other.
        ones_bad: an image marks with 0 what can be used and with its other value what is left out, as in pyFAI.

    Raises:
        FileFormatError: missing, damaged, not a mask, or a pickle (the message says how to convert it).
        InputError: another size than the detector, no pixel is left, or `ones_bad` of what is not an image.

    Warns:
        NanobragWarning: more than half of the detector is left out.
    """
    name = os.fspath(path)
    suffix = Path(path).suffix.lower()
    # Lists are read by their suffix, as SMV begins with the same brace; everything else by its first bytes.
    start = b"" if suffix in _LISTS else read_start(path, 16)
    if suffix in _PICKLES or start.startswith(_PICKLE):
        text = f"a pickle, which is never opened because it may run anything; convert it: {CONVERT} {name} mask.npy"
        raise FileFormatError(path, "", text)
    plain = suffix not in _LISTS and not start.startswith(_HDF5)
    if ones_bad and not plain:
        raise InputError("--mask-ones-bad", f"{name} has one meaning only", "leave the flag out")
    if suffix in _LISTS:
        found = _listed(path, detector)
    else:
        image = _image(path, start) if plain else read_pixel_mask(path)
        bad = image == 0 if plain and not ones_bad else image != 0
        found = tuple(~part for part in split(path, bad, detector, ("a mask", "give the one of this detector")))
    share = 1.0 - sum(int(part.sum()) for part in found) / sum(part.size for part in found)
    advice = "if its ones mark what can be used, do not say --mask-ones-bad" if ones_bad else "see --mask-ones-bad"
    if share == 1.0:
        raise InputError(name, "this mask leaves out every pixel", advice)
    if share > _MOSTLY:
        text = f"{name}: this mask leaves out {100.0 * share:.1f} % of the detector; {advice}"
        warnings.warn(NanobragWarning(text), stacklevel=2)
    return found


def _image(path: PathLike, start: bytes) -> NDArray[Any]:
    """An array of zeros and one other value, at most."""
    if start.startswith(_NPY):
        content = read_bytes(path)
        with understood(path, "not an array of numbers"):
            image = np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    elif start.startswith(_TIFF):
        image = read_tiff(path)
    else:
        image = open_frames(path).read()
    values = np.unique(image)
    if image.ndim not in (2, 3) or image.dtype.kind not in "biuf" or (values != 0).sum() > 1:
        shown = ", ".join(f"{float(x):g}" for x in values[:4]) if image.dtype.kind in "biuf" else str(image.dtype)
        text = f"not a mask: {image.shape} pixels with the values {shown}{' ...' if len(values) > 4 else ''}"
        raise FileFormatError(path, "", f"{text}, expected zeros and ones")
    return image


def _listed(path: PathLike, detector: DetectorModel) -> tuple[Bits, ...]:
    """What the rectangles of the panels of another experiment list leave."""
    panels = read_expt_list(path)[0].detector.panels
    if [panel.shape for panel in panels] != [panel.shape for panel in detector.panels]:
        raise InputError(os.fspath(path), "its detector has panels of other sizes", "give a list of this detector")
    return tuple(without_rectangles(panel) for panel in panels)
