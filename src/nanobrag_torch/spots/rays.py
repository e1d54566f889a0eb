"""Reciprocal lattice and Ewald sphere: which indices there are, how far from the sphere, and how wide they are.

Reciprocal vectors and wave vectors are in 1/Å (no factor of 2 pi), angles in radians unless a name says degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import BeamModel, CrystalModel, DetectorModel

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]
MOST_INDICES = 50_000_000
"""Reciprocal lattice points within the resolution beyond which a prediction is refused."""
_FWHM_OF_SINC2 = 0.886
"""Full width at half maximum of the interference of a row of cells of length D, in 1/D."""
_SIGMA = 1.0 / np.sqrt(8.0 * np.log(2.0))
"""Standard deviation of a Gaussian of full width 1 at half maximum."""


@dataclass(frozen=True)
class Spread:
    """What makes a reflection wide, each as the standard deviation of a Gaussian.

    Args:
        mosaicity_deg: of the orientation about any axis, degrees.
        divergence_deg: of the direction of the beam about any axis across it, degrees.
        bandwidth: of the wavelength, relative.
        domain_A: edge of the domains, Å, whose interference has the width of a Gaussian of 0.886 / edge; 0 = large.
    """

    mosaicity_deg: float = 0.0
    divergence_deg: float = 0.0
    bandwidth: float = 0.0
    domain_A: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mosaicity_deg", "divergence_deg", "bandwidth", "domain_A"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(name, f"{value:g} is not a width", "give a number that is not negative")

    @classmethod
    def of(cls, beam: BeamModel, crystal: CrystalModel) -> Spread:
        """What an experiment says; a range of wavelengths counts as a box."""
        return cls(crystal.mosaicity, beam.sigma_divergence, beam.bandwidth / np.sqrt(12.0), crystal.domain_size)

    @property
    def size(self) -> float:
        """Standard deviation (1/Å) of the position of a lattice point along any direction."""
        return _FWHM_OF_SINC2 * _SIGMA / self.domain_A if self.domain_A > 0 else 0.0

    def of_excitation(self, s0: Floats, s1: Floats) -> Floats:
        """Standard deviation (1/Å) [n] of |s0 + r| - |s0| for reflections with scattered wave vectors s1 [n, 3].

        With u = s1 / |s1|: a turn by a of the crystal or of the beam changes it by a · (s0 × u), a relative change e of
        the wave vector by e |s0| (cos 2θ - 1), and a shift of the lattice point by its part along u.
        """
        unit = s1 / np.linalg.norm(s1, axis=-1, keepdims=True)
        length = np.linalg.norm(s0)
        across = np.linalg.norm(np.cross(s0, unit), axis=-1)
        turn = np.radians(np.hypot(self.mosaicity_deg, self.divergence_deg)) * across
        colour = self.bandwidth * (length - unit @ s0)
        return np.asarray(np.sqrt(turn**2 + colour**2 + self.size**2))


def excitation(s0: Floats, r: Floats) -> Floats:
    """|s0 + r| - |s0| (1/Å) [n] of reciprocal vectors r [n, 3]: how far they lie outside of the Ewald sphere.

    Written as (2 s0 · r + r²) / (|s0 + r| + |s0|), which loses no digits.
    """
    length = np.linalg.norm(s0)
    return np.asarray((2.0 * (r @ s0) + np.einsum("...i,...i", r, r)) / (np.linalg.norm(s0 + r, axis=-1) + length))


def finest(beam: BeamModel, detector: DetectorModel) -> float:
    """The smallest d (Å) that any corner of the detector sees."""
    s0, wavelength = beam.direction, beam.wavelength
    corners = np.concatenate([panel.plane.corners() for panel in detector.panels])
    cosine = corners @ s0 / np.linalg.norm(corners, axis=1)
    return float(wavelength / (2.0 * np.sqrt(max((1.0 - cosine.min()) / 2.0, 1e-12))))


def indices_within(crystal: CrystalModel, d_min: float) -> Indices:
    """Miller indices [n, 3] with d >= d_min (Å) that the space group does not extinguish, without (0, 0, 0).

    They depend on the cell but not on its orientation, and are kept for the next call.

    Raises:
        InputError: d_min is not positive, there would be too many, or the Hall symbol is none.
    """
    if not (np.isfinite(d_min) and d_min > 0):
        raise InputError("d_min", f"{d_min:g} Å is not positive", "give a resolution in Å")
    metric = tuple(float(x) for x in np.round(crystal.cell @ crystal.cell.T, 9).ravel())
    return _indices(metric, float(d_min), crystal.hall)


@lru_cache(maxsize=16)
def _indices(metric: tuple[float, ...], d_min: float, hall: str) -> Indices:
    found = _within(np.array(metric).reshape(3, 3), d_min)
    indices = found[~_absent(hall, found)]
    indices.flags.writeable = False
    return indices


def _within(metric: Floats, d_min: float) -> Indices:
    reciprocal = np.linalg.inv(metric)
    most = np.floor(np.sqrt(np.diag(metric)) / d_min).astype(np.int64)
    if np.prod(2.0 * most + 1) > MOST_INDICES:
        raise InputError("d_min", f"{d_min:g} Å gives more than {MOST_INDICES} reflections", "give a coarser one")
    k_range, l_range = (np.arange(-n, n + 1) for n in most[1:])
    k, l = np.repeat(k_range, len(l_range)), np.tile(l_range, len(k_range))
    plane = reciprocal[1, 1] * k * k + reciprocal[2, 2] * l * l + 2 * reciprocal[1, 2] * k * l
    limit, kept = 1.0 / d_min**2, []
    for h in range(-int(most[0]), int(most[0]) + 1):
        inside = reciprocal[0, 0] * h * h + 2 * h * (reciprocal[0, 1] * k + reciprocal[0, 2] * l) + plane <= limit
        if h == 0:
            inside &= (k != 0) | (l != 0)
        kept.append(np.stack([np.full(inside.sum(), h), k[inside], l[inside]], axis=1))
    return np.concatenate(kept).astype(np.int32)


def _absent(hall: str, indices: Indices) -> NDArray[np.bool_]:
    """Whether a space group extinguishes reflections [n]."""
    import gemmi

    try:
        group = gemmi.symops_from_hall(hall)
    except (RuntimeError, ValueError) as error:
        raise InputError("space group", f"{hall!r} is no Hall symbol", "correct it") from error
    # Only centring and screw axes or glide planes extinguish: translations of operations that keep an index.
    absent = np.zeros(len(indices), dtype=np.bool_)
    for op in group:
        rotation, shift = np.array(op.rot) // op.DEN, np.array(op.tran)
        if not shift.any():
            continue
        kept = (indices @ rotation == indices).all(axis=1)
        absent |= kept & ((indices @ shift) % op.DEN != 0)
    return absent
