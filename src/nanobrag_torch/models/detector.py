"""The settled detector: a tuple of panels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Panel:
    """One flat panel, placed by pivot and distance or by an explicit origin (specs: geometry).

    Lengths in metres, angles in radians, vectors in the lab frame.

    Args:
        pixels_f: pixels along the fast axis.
        pixels_s: pixels along the slow axis.
        pixel_size: [] edge of a pixel.
        lengths: [2] detector lengths L_f, L_s.
        fast: [3] fast axis before rotation.
        slow: [3] slow axis before rotation.
        normal: [3] normal before rotation.
        rotations: [3] rotations about lab x, y, z.
        twotheta_axis: [3] axis of the swing.
        twotheta: [] swing angle.
        pivot: `beam` or `sample`.
        beam_centre: [2] F_b, S_b of the direct beam, used by the beam pivot.
        near_point: [2] F_c, S_c of the point closest to the sample, used by the sample pivot.
        distance: [] along the beam, or along the normal when `distance_along_normal`.
        distance_along_normal: what `distance` measures.
        origin: [3] outer corner of pixel (0, 0) when given explicitly; `None` = from pivot and distance.
        layers: number of sensor layers.
        layer_step: [] thickness of one layer.
        attenuation: [] absorption coefficient of the sensor (1/m).
        name: name of the panel, may be empty.
    """

    pixels_f: int
    pixels_s: int
    pixel_size: Tensor
    lengths: Tensor
    fast: Tensor
    slow: Tensor
    normal: Tensor
    rotations: Tensor
    twotheta_axis: Tensor
    twotheta: Tensor
    pivot: str
    beam_centre: Tensor
    near_point: Tensor
    distance: Tensor
    distance_along_normal: bool
    origin: Tensor | None
    layers: int
    layer_step: Tensor
    attenuation: Tensor
    name: str = ""

    def replace(self, **changes: Any) -> Panel:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Detector:
    """Panels, and how every one of them is used.

    Args:
        panels: at least one panel.
        curved: all pixels at the same distance from the sample.
        point_pixel: solid angle without obliquity.
        groups: per panel the number of the rigid body that it belongs to, from 0; `None` = each is one of its own.
    """

    panels: tuple[Panel, ...]
    curved: bool = False
    point_pixel: bool = False
    groups: tuple[int, ...] | None = None

    @property
    def panel(self) -> Panel:
        """The only panel of a detector that has one."""
        (panel,) = self.panels
        return panel

    def replace(self, **changes: Any) -> Detector:
        """A copy with some fields changed; fields of `Panel` change every panel."""
        own = {k: v for k, v in changes.items() if k in ("panels", "curved", "point_pixel", "groups")}
        rest = {k: v for k, v in changes.items() if k not in own}
        detector = replace(self, **own)
        if rest:
            detector = replace(detector, panels=tuple(p.replace(**rest) for p in detector.panels))
        return detector
