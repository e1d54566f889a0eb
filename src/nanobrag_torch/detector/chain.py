"""What both noise chains take and give (specs: noisify)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LN16 = 2.772588722239781
FIBER = 0.652383013252053
"""Width at half maximum of the fibre law to its parameter g."""
DEFAULT_CALIBRATION_STATE = 123456789


@dataclass(frozen=True)
class Chain:
    """A detector.

    Args:
        gain: ADU per photon. adc: ADU. bits: 16 or 32, of the stored images.
        readout: rms of the read-out noise, ADU. flicker, calibration: rms, fractions.
        seed: of all but the calibration. calibration_seed: of the calibration; `None` is the program's own.
        spread: `gauss`, `fiber` or `None`. width: full width at half maximum, pixels. radius: pixels, 0 = automatic.
    """

    gain: float = 1.0
    adc: float = 40.0
    bits: int = 16
    readout: float = 0.0
    flicker: float = 0.0
    calibration: float = 0.03
    seed: int = 1
    calibration_seed: int | None = None
    spread: str | None = None
    width: float = 0.46
    radius: int = 0

    @property
    def largest(self) -> int:
        """The largest value that noise images store."""
        return 65535 if self.bits == 16 else 2147483647

    @property
    def stored(self) -> Any:
        """The type of the stored numbers."""
        return np.uint16 if self.bits == 16 else np.uint32


class Spread(NamedTuple):
    """A spread image, the brightest input pixel, the radius it asks for (pixels), and the photons added back."""

    image: Floats
    brightest: float
    radius: int
    added_back: float


class NoiseImage(NamedTuple):
    """Stored `values` [slow, fast], the sum of all `photons`, and the number of `overloads`.

    `before` is the sum before the point spread, and `spread` what that did; `None` without one.
    """

    values: NDArray[Any]
    photons: float
    overloads: int
    before: float | None
    spread: Spread | None
