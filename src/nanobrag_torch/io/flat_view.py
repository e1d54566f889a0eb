"""Panels seen together: their pixels on one plane, as the sample sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.io.scene import Floats, Scene, ScenePanel

LARGEST_SIDE = 4096


def flat_view(scene: Scene, panels: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """One picture [slow, fast] of arrays [slow, fast], one per panel: what rays from the sample meet, 0 in gaps.

    The picture is square to the beam, with the pixel size and the axes of the main panel and at its distance; the
    nearest pixel gives the value. Panels behind the sample are left out; sides are at most `LARGEST_SIDE` pixels.
    """
    main, beam = scene.main_panel, scene.beam.direction
    fast = main.fast - (main.fast @ beam) * beam
    fast /= np.linalg.norm(fast)
    slow = np.cross(beam, fast)
    slow *= np.sign(slow @ main.slow) or 1.0
    ahead = [i for i, panel in enumerate(scene.panels) if (panel.corners() @ beam > 0).all()]
    if not ahead:
        return np.zeros((1, 1))
    distance = float(abs(main.origin @ main.normal))
    corners = np.concatenate([_on_plane(scene.panels[i].corners(), beam, fast, slow, distance) for i in ahead])
    low, high = corners.min(axis=0), corners.max(axis=0)
    step = max(main.pixel_size, float((high - low).max()) / LARGEST_SIDE)
    n_f, n_s = (max(1, int(np.rint(n))) for n in (high - low) / step)
    x, y = low[0] + step * (np.arange(n_f) + 0.5), low[1] + step * (np.arange(n_s) + 0.5)
    rays = distance * beam + x[None, :, None] * fast + y[:, None, None] * slow
    picture = np.zeros((n_s, n_f))
    for i in ahead:
        _paint(picture, rays, scene.panels[i], panels[i])
    return picture


def _on_plane(points: Floats, beam: Floats, fast: Floats, slow: Floats, distance: float) -> Floats:
    """Coordinates [n, 2] of points [n, 3] seen on a plane square to the beam."""
    scale = distance / (points @ beam)
    return np.stack([points @ fast * scale, points @ slow * scale], axis=1)


def _paint(picture: Floats, rays: Floats, panel: ScenePanel, values: NDArray[Any]) -> None:
    """Set the pixels of a picture [slow, fast] whose rays [slow, fast, 3] meet a panel."""
    along = rays @ panel.normal
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (panel.origin @ panel.normal) / along
        points = scale[..., None] * rays - panel.origin
        f = np.floor(points @ panel.fast / panel.pixel_size)
        s = np.floor(points @ panel.slow / panel.pixel_size)
    met = (scale > 0) & (f >= 0) & (f < panel.pixels_f) & (s >= 0) & (s < panel.pixels_s)
    picture[met] = values[s[met].astype(int), f[met].astype(int)]
