"""The models of an experiment list: what a measurement was made with, as DIALS describes it.

All vectors are in the lab frame of the file. Lengths are metres, wavelengths and cells Å, angles degrees. `raw` is
the model as its file gives it; what is not understood is written as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nanobrag_torch.io.scene import Floats, ScenePanel, rotation

Raw = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class BeamModel:
    """The incident beam.

    Args:
        direction: [3] unit vector of travel.
        wavelength: Å; the middle of a range.
        divergence: full width, degrees.
        sigma_divergence: standard deviation, degrees.
        polarization_normal: [3] unit vector normal to the plane of polarization.
        polarization_fraction: share of the beam polarized in that plane.
        bandwidth: width of the range of wavelengths relative to its middle.
    """

    direction: Floats
    wavelength: float
    divergence: float = 0.0
    sigma_divergence: float = 0.0
    polarization_normal: Floats = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    polarization_fraction: float = 0.5
    bandwidth: float = 0.0
    raw: Raw = field(default_factory=dict, repr=False)

    @property
    def s0(self) -> Floats:
        """Wave vector [3] of the beam, 1/Å."""
        return self.direction / self.wavelength


@dataclass(frozen=True, eq=False)
class PanelModel:
    """A panel and how its pixels count.

    Args:
        plane: where it stands.
        pixel_mm: size of its pixels (fast, slow).
        parallax: whether positions on it are those of photons absorbed in a thick sensor.
        trusted: least and largest value (units of the file) of a pixel that can be believed.
        gain: units of the file per photon.
        pedestal: value (units of the file) of a pixel without a photon.
        masked: rectangles of pixels without meaning: first fast and slow, one past the last fast and slow.
        raw: the model of the file.
    """

    plane: ScenePanel
    pixel_mm: tuple[float, float]
    parallax: bool = False
    trusted: tuple[float, float] = (-1.0, float("inf"))
    gain: float = 1.0
    pedestal: float = 0.0
    masked: tuple[tuple[int, int, int, int], ...] = ()
    raw: Raw = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels (slow, fast)."""
        return self.plane.pixels_s, self.plane.pixels_f

    def depth(self, directions: Floats) -> Floats:
        """Mean distance (m) [n] that photons along unit vectors [n, 3] travel in the sensor before it takes them.

        The integral of x mu exp(-mu x) over the path L = thickness / cos(angle), 1/mu - (L + 1/mu) exp(-mu L): those
        that go through count as 0, which is how dxtbx has it.
        """
        cosine = np.abs(directions @ self.plane.normal)
        free = 1.0 / self.plane.attenuation
        path = self.plane.thickness / cosine
        return np.asarray(free - (path + free) * np.exp(-path / free))

    @property
    def thick(self) -> bool:
        """Whether photons are displaced by the depth at which they are absorbed."""
        return self.parallax and self.plane.thickness > 0 and self.plane.attenuation > 0

    def pixels(self, directions: Floats) -> tuple[Floats, Floats]:
        """Where rays [n, 3] from the sample are seen: pixels (fast, slow) [n, 2], and mm on the panel [n, 2].

        Both are NaN for rays that do not meet the panel's plane; pixel (0, 0) has its centre at (0.5, 0.5).
        """
        plane = self.plane
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        along = unit @ plane.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (plane.origin @ plane.normal) / along
        distance = np.where(distance > 0, distance, np.nan)
        axes = np.array([plane.fast, plane.slow])
        point = (distance[:, None] * unit - plane.origin) @ axes.T
        seen = point + self.depth(unit)[:, None] * (unit @ axes.T) if self.thick else point
        return 1e3 * seen / np.asarray(self.pixel_mm), 1e3 * point

    def directions(self, pixels: ArrayLike) -> Floats:
        """Unit vectors [n, 3] from the sample to where photons seen at pixels (fast, slow) [n, 2] meet the panel."""
        plane, wanted = self.plane, np.atleast_2d(np.asarray(pixels, dtype=np.float64))
        axes = np.array([plane.fast, plane.slow])
        seen = 1e-3 * wanted * np.asarray(self.pixel_mm)
        point = seen
        for _ in range(8 if self.thick else 1):
            rays = plane.origin + point @ axes
            unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
            if self.thick:
                point = seen - self.depth(unit)[:, None] * (unit @ axes.T)
        return np.asarray(unit)


@dataclass(frozen=True, eq=False)
class DetectorModel:
    """All panels; `raw` holds the hierarchy in which the file puts them."""

    panels: tuple[PanelModel, ...]
    raw: Raw = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class GoniometerModel:
    """The spindle: a vector x of the crystal stands at setting · R(axis, phi) · fixed · x.

    Args:
        axis: [3] unit vector that is turned about, before the setting.
        fixed: [3, 3] rotation inside of the spindle.
        setting: [3, 3] rotation outside of it.
        raw: the model of the file.
    """

    axis: Floats = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    fixed: Floats = field(default_factory=lambda: np.eye(3))
    setting: Floats = field(default_factory=lambda: np.eye(3))
    raw: Raw = field(default_factory=dict, repr=False)

    @cached_property
    def spindle(self) -> Floats:
        """The axis [3] as it stands in the lab."""
        return np.asarray(self.setting @ self.axis)

    def at(self, degrees: float) -> Floats:
        """The whole rotation [3, 3] at a spindle angle."""
        return np.asarray(self.setting @ rotation(self.axis, degrees) @ self.fixed)


@dataclass(frozen=True, eq=False)
class ScanModel:
    """Images of equal width, numbered from `first`; `start` is the spindle angle where the first begins."""

    first: int = 1
    images: int = 1
    start: float = 0.0
    width: float = 0.0
    raw: Raw = field(default_factory=dict, repr=False)

    def angle(self, place: ArrayLike) -> Floats:
        """Spindle angle (degrees) at places in the scan, where image n covers n - 1 to n."""
        return self.start + self.width * (np.asarray(place, dtype=np.float64) - (self.first - 1))

    def place(self, degrees: ArrayLike) -> Floats:
        """Places in the scan at spindle angles; the reverse of `angle`."""
        return (np.asarray(degrees, dtype=np.float64) - self.start) / self.width + (self.first - 1)


@dataclass(frozen=True, eq=False)
class CrystalModel:
    """A crystal as it sits on the goniometer (before `GoniometerModel` turns it).

    Args:
        cell: [3, 3] cell vectors a, b, c as rows, Å.
        hall: Hall symbol of the space group.
        points: [images + 1, 3, 3] cell vectors at the boundaries of the scan's images; `None` = they do not change.
        mosaicity: standard deviation of the orientations, degrees.
        domain_size: Å; 0 = not known.
        raw: the model of the file.
    """

    cell: Floats
    hall: str = " P 1"
    points: Floats | None = None
    mosaicity: float = 0.0
    domain_size: float = 0.0
    raw: Raw = field(default_factory=dict, repr=False)

    def at(self, point: ArrayLike) -> Floats:
        """Cell vectors [..., 3, 3] at points of the scan (0 = its start), linear between its boundaries.

        What varies linearly is the reciprocal cell, as DIALS has it.
        """
        place = np.asarray(point, dtype=np.float64)
        if self.points is None:
            return np.broadcast_to(self.cell, (*place.shape, 3, 3))
        last = len(self.points) - 1
        low = np.clip(np.floor(place).astype(np.int64), 0, max(last - 1, 0))
        share = np.clip(place - low, 0.0, 1.0)[..., None, None]
        reciprocal = np.linalg.inv(self.points)
        mixed = (1.0 - share) * reciprocal[low] + share * reciprocal[np.minimum(low + 1, last)]
        return np.asarray(np.linalg.inv(mixed))


@dataclass(frozen=True, eq=False)
class ImagesModel:
    """Where the pixels are.

    Args:
        names: files, in order; a template (`a_####.cbf`) has been filled in.
        indices: which image of its file each is, from 0; `None` = all images of the file, in order.
        raw: the model of the file.
    """

    names: tuple[str, ...]
    indices: tuple[int, ...] | None = None
    raw: Raw = field(default_factory=dict, repr=False)


@dataclass(frozen=True, eq=False)
class Measured:
    """One experiment of a list: a crystal in a beam before a detector, still or turning.

    `crystal` and `images` may be unknown; a still has no scan (or one of width 0) and may have no goniometer. Models
    that experiments share are the same objects.
    """

    beam: BeamModel
    detector: DetectorModel
    goniometer: GoniometerModel | None = None
    scan: ScanModel | None = None
    crystal: CrystalModel | None = None
    images: ImagesModel | None = None
    identifier: str = ""
    raw: Raw = field(default_factory=dict, repr=False)

    @property
    def still(self) -> bool:
        """Whether the crystal stands while an image is taken."""
        return self.goniometer is None or self.scan is None or self.scan.width == 0

    def rotation(self, degrees: float) -> Floats:
        """The rotation [3, 3] that the goniometer makes at a spindle angle; none without one."""
        return np.eye(3) if self.goniometer is None else self.goniometer.at(degrees)

    def cell(self, place: float) -> Floats:
        """Cell vectors [3, 3] (rows, Å) in the lab at a place in the scan (image n covers n - 1 to n).

        Those of a still are the crystal's own, whatever the goniometer says, as DIALS takes them.

        Raises:
            ValueError: the crystal is not known.
        """
        if self.crystal is None:
            raise ValueError("this experiment has no crystal")
        if self.still or self.scan is None:
            return np.asarray(self.crystal.at(0.0))
        cell = self.crystal.at(place - (self.scan.first - 1))
        return np.asarray(cell @ self.rotation(float(self.scan.angle(place))).T)
