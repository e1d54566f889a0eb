"""What the modern formats say of a scene: plain numbers and arrays, as the writers take them and the readers give them.

Lengths in metres, wavelengths and cell vectors in Å, angles in degrees, all vectors in one right-handed lab frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEARLY_UP = 0.1
"""Sine of the angle between beam and lab y below which lab z takes the place of y as `up`."""
SQUARE = 1e-6
"""Cosines within this of their ideal are that but for rounding."""
MCSTAS_TO_IMGCIF = np.diag([-1.0, 1.0, -1.0])
"""From the frame of NeXus (beam along +z) to that of imgCIF and dxtbx (beam along -z), y up in both."""
THINNEST = 1e-6
"""Sensor thickness (m) written for a sensor without one: readers refuse 0, and a micrometre shifts nothing."""
GAP, MASKED = 1, 256
"""Bits of a NeXus pixel mask: a pixel that was not rendered, and one that the user's mask leaves out."""


@dataclass(frozen=True)
class ScenePanel:
    """One flat panel as it stands: `origin` [3] is the outer corner of pixel (0, 0).

    `attenuation` is the absorption coefficient of the sensor in 1/m, 0 for perfect capture.
    """

    pixels_f: int
    pixels_s: int
    pixel_size: float
    origin: Floats
    fast: Floats
    slow: Floats
    thickness: float = 0.0
    attenuation: float = 0.0
    name: str = ""

    @property
    def normal(self) -> Floats:
        """Unit vector fast x slow [3]."""
        normal = np.cross(self.fast, self.slow)
        return np.asarray(normal / np.linalg.norm(normal))

    def corners(self) -> Floats:
        """The outer corners [4, 3] of pixels (0, 0), (n_f, 0), (0, n_s), (n_f, n_s), fast first."""
        f, s = self.pixels_f * self.pixel_size * self.fast, self.pixels_s * self.pixel_size * self.slow
        return np.array([self.origin, self.origin + f, self.origin + s, self.origin + f + s])

    def meets(self, direction: Floats) -> tuple[float, float, float]:
        """Where a ray from the sample meets the plane: coordinates F, S from the corner, and the distance (m)."""
        distance = float(self.origin @ self.normal / (direction @ self.normal))
        point = distance * direction - self.origin
        return float(point @ self.fast), float(point @ self.slow), distance

    def runs_along(self, direction: Floats) -> bool:
        """Whether a ray in this direction never meets the plane."""
        return bool(abs(direction @ self.normal) < SQUARE)

    def holds(self, f: float, s: float) -> bool:
        """Whether coordinates F, S (m) lie on the panel."""
        return 0 <= f <= self.pixels_f * self.pixel_size and 0 <= s <= self.pixels_s * self.pixel_size


@dataclass(frozen=True)
class SceneBeam:
    """The incident beam.

    Args:
        direction: [3] unit vector of travel.
        wavelength: the central one.
        wavelengths: [Q] of the spectrum.
        weights: [Q] shares of the photons, of sum 1.
        polarization_axis: [3] unit vector of the electric field.
        polarization_factor: Kahn's factor, 0 = unpolarized, 1 = fully along the axis.
        fluence: photons/m².
        exposure: s.
        size: edge of the square beam (m).
    """

    direction: Floats
    wavelength: float
    wavelengths: Floats
    weights: Floats
    polarization_axis: Floats
    polarization_factor: float
    fluence: float
    exposure: float = 1.0
    size: float = 1e-4

    @property
    def total_flux(self) -> float:
        """Photons per second through the beam."""
        return self.fluence * self.size**2 / self.exposure


@dataclass(frozen=True)
class Scene:
    """Panels, beam, spindle and crystal.

    Args:
        panels: at least one.
        beam: the incident beam.
        spindle: [3] unit vector.
        phi: spindle angle at the start of the first image, degrees.
        osc: degrees that an image sweeps.
        cell: [3, 3] cell vectors a, b, c as rows at spindle angle 0, Å; `None` = unknown.
        twotheta: swing of the detector, degrees, already contained in the panels.
        twotheta_axis: [3] unit vector.
        curved: whether the pixels lie on a sphere instead, which no format can express.
        made: how the images came about, in TOML (`io.made`); empty = not said.
    """

    panels: tuple[ScenePanel, ...]
    beam: SceneBeam
    spindle: Floats = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
    phi: float = 0.0
    osc: float = 0.0
    cell: Floats | None = None
    twotheta: float = 0.0
    twotheta_axis: Floats = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    curved: bool = False
    made: str = ""

    @cached_property
    def to_mcstas(self) -> Floats:
        """Rotation [3, 3] from the lab frame to that of NeXus; see `mcstas_rotation`."""
        return mcstas_rotation(self.beam.direction)

    @cached_property
    def to_imgcif(self) -> Floats:
        """Rotation [3, 3] from the lab frame to that of imgCIF and dxtbx."""
        return np.asarray(MCSTAS_TO_IMGCIF @ self.to_mcstas)

    @property
    def main_panel(self) -> ScenePanel:
        """The panel that the direct beam meets, or comes closest to."""

        def miss(panel: ScenePanel) -> float:
            if panel.runs_along(self.beam.direction):
                return float("inf")
            f, s, distance = panel.meets(self.beam.direction)
            if distance > 0 and panel.holds(f, s):
                return -1.0
            centre = panel.corners().mean(axis=0)
            return float(1.0 - centre @ self.beam.direction / np.linalg.norm(centre))

        return min(self.panels, key=miss)


def mcstas_rotation(direction: Floats) -> Floats:
    """Rotation [3, 3] from our lab frame to the frame of NeXus (McStas): beam +z, y up, x to the left seen along it.

    Rows are x = y × z, y = unit(up - (up·b) b), z = b, with `up` = lab y, or lab z when the beam is within about
    6 degrees of lab y. It depends on the beam's direction b only, so that turning the detector turns nothing else.
    """
    z = np.asarray(direction, dtype=np.float64)
    z = z / np.linalg.norm(z)
    up = np.array([0.0, 1.0, 0.0])
    if np.linalg.norm(np.cross(up, z)) < NEARLY_UP:
        up = np.array([0.0, 0.0, 1.0])
    y = up - (up @ z) * z
    y = y / np.linalg.norm(y)
    return np.array([np.cross(y, z), y, z])


def unsaid_by_flat_headers(scene: Scene) -> tuple[list[str], list[str]]:
    """What SMV and miniCBF cannot say of a scene: reasons to refuse, and reasons to warn.

    Their headers describe one flat detector, square to the beam at two-theta 0, with the image seen along the beam
    (fast × slow = beam) and the spindle along the fast axis.
    """
    if len(scene.panels) > 1:
        return [f"the detector has {len(scene.panels)} panels"], []
    beam, said = scene.beam.direction, []
    fast, slow = swung_back(scene).fast, swung_back(scene).slow
    if max(abs(fast @ beam), abs(slow @ beam)) > SQUARE or abs(fast @ slow) > SQUARE:
        said.append("the detector is tilted")
    elif np.cross(fast, slow) @ beam < 0:
        said.append("the image is seen against the beam (fast x slow points to the source), so readers mirror it")
    if scene.osc > 0 and abs(fast @ scene.spindle - 1.0) > SQUARE:
        said.append("the spindle is not along the fast axis")
    if scene.twotheta != 0:
        said.append("the two-theta swing has no axis, and some readers ignore it")
    if len(scene.beam.wavelengths) > 1:
        said.append("the beam has several wavelengths")
    return [], said


def unsaid_by_any(scene: Scene) -> list[str]:
    """What no format here can say of a scene."""
    return ["the detector is curved: the geometry is that of the flat one"] if scene.curved else []


def swung_back(scene: Scene) -> ScenePanel:
    """The first panel as it would stand at two-theta 0."""
    panel, back = scene.panels[0], rotation(scene.twotheta_axis, -scene.twotheta)
    return replace(panel, origin=back @ panel.origin, fast=back @ panel.fast, slow=back @ panel.slow)


def rotation(axis: Sequence[float] | Floats, degrees: float) -> Floats:
    """Right-handed rotation [3, 3] about an axis [3] (normalised here; the zero vector turns nothing)."""
    length = float(np.linalg.norm(axis))
    if degrees == 0 or length == 0:
        return np.eye(3)
    x, y, z = np.asarray(axis, dtype=np.float64) / length
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross))


def cell_constants(vectors: Floats) -> Floats:
    """a, b, c (Å), alpha, beta, gamma (degrees) [..., 6] of cell vectors [..., 3, 3], one in each row."""
    lengths = np.linalg.norm(vectors, axis=-1)
    unit = vectors / lengths[..., None]
    cosines = [(unit[..., i, :] * unit[..., j, :]).sum(-1) for i, j in ((1, 2), (2, 0), (0, 1))]
    angles = np.degrees(np.arccos(np.clip(np.stack(cosines, axis=-1), -1.0, 1.0)))
    return np.concatenate([lengths, angles], axis=-1)
