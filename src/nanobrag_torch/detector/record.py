"""From an image to what a detector stores of it: the one pipeline of all stages.

expected photons -> beam stop -> efficiency, parallax -> flicker, calibration -> counting, charge sharing
-> dead time -> point spread -> gain, adc, read-out noise, bits -> dead and hot pixels, gaps
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanobrag_torch.detector import stages
from nanobrag_torch.detector.model import DetectorResponse
from nanobrag_torch.errors import InputError

if TYPE_CHECKING:
    from nanobrag_torch.detector.stages import Doubles

GAP_VALUE = -1
"""What is stored where there is no pixel, as PILATUS detectors do."""


class Recorded(NamedTuple):
    """Stored `counts` and `mask` (`stages.mask_of`), [rows, fast].

    `overloads` is the number of good pixels at the `largest` value.
    """

    counts: NDArray[np.int32]
    mask: NDArray[np.uint8]
    overloads: int
    largest: int


def record(
    photons: ArrayLike,
    model: DetectorResponse,
    frame: int = 0,
    rows: tuple[int, int] | None = None,
    *,
    offset: int = 0,
) -> Recorded:
    """What a detector stores of expected photons [slow, fast].

    Args:
        photons: expected photons per pixel, not negative.
        model: the detector.
        frame: number of the frame: noise and flicker differ from frame to frame, the detector's pattern does not.
        rows: first row and the one behind the last; the numbers are those of the same rows of the whole frame.
        offset: number of the first pixel: how many pixels the panels before this one have, so that noise differs.

    Raises:
        InputError: photons that are negative or not finite, or a frame that the model or the rows do not fit.
    """
    values = np.asarray(photons, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        raise InputError("photons", f"an array of shape {list(values.shape)}", "give [slow, fast]")
    if not np.isfinite(values).all() or values.min() < 0.0:
        raise InputError("photons", "a pixel is negative or not finite", "give expected photons per pixel")
    slow, fast = values.shape
    model.check_frame((slow, fast))
    wanted = rows or (0, slow)
    if not 0 <= wanted[0] < wanted[1] <= slow:
        raise InputError(
            "rows", f"{list(wanted)} of {slow} rows", f"give first and last with 0 <= first < last <= {slow}"
        )
    means = _expected(values, model, frame, offset)
    drawn = (0, slow) if model.spread is not None else wanted  # light comes from the whole frame
    counts = stages.counted(means, model, frame, drawn, offset)
    kept = stages.spread(stages.registered(counts, model, frame, offset + drawn[0] * fast), model)
    kept = kept[wanted[0] - drawn[0] : wanted[1] - drawn[0]]
    stored = stages.digitised(kept, model, frame, offset + wanted[0] * fast)
    mask = stages.mask_of((slow, fast), model, offset)[wanted[0] : wanted[1]]
    overloads = int(((stored >= model.largest) & (mask == stages.GOOD)).sum())
    stored[mask == stages.DEAD] = 0
    stored[mask == stages.HOT] = model.largest
    stored[mask == stages.GAP] = GAP_VALUE
    return Recorded(stored, mask, overloads, model.largest)


def _expected(photons: Doubles, model: DetectorResponse, frame: int, offset: int) -> Doubles:
    """The stages before the counting, without a graph; torch is left alone where none of them does anything."""
    if model.sensor is None and model.stop is None and not (model.flicker > 0.0 or model.calibration > 0.0):
        return photons
    import torch

    with torch.no_grad():
        found: Doubles = stages.expected(torch.from_numpy(np.array(photons)), model, frame, offset).numpy()
    return found
