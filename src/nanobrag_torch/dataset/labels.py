"""The reflections of an image: which, where, how much of each; from the scene alone, in closed form.

Positions are in pixels, pixel k reaching from k to k + 1 (as in DIALS), fast before slow.

`fast`, `slow` is the centroid of the spot that the scene makes: every orientation, phi step and wavelength adds what
of the spot lies on its own sphere, weighted by the rocking law. The part of a Gaussian spot on a plane at the
distance ε across n is centred at ε C n / (n·C n) from the lattice point, with C = Σ a*_i a*_iᵀ / N_i²; that of a square
crystal is found from the autocorrelation (`rocking.Rocking.pull`).

`fast_cal`, `slow_cal` is where the lattice point itself is predicted, as DIALS does: in a rotation where it crosses the
sphere, in a still where the smallest rotation onto the sphere puts it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.dataset.candidates import Candidates, in_shell
from nanobrag_torch.dataset.rocking import RADIUS_FACTOR, TOPHAT_CUT, Rocking, rocking
from nanobrag_torch.dataset.sight import Sight

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_TERMS = 200_000
"""Terms (reflections x orientations x sources) that are held at a time."""
NEGLIGIBLE = 1e-4
"""Share of the strongest term below which a term does not move a spot."""


@dataclass(frozen=True)
class Spots:
    """Reflections of some images; all [n].

    Args:
        image: place of the image in its block.
        h, k, l: Miller indices; `panel` where they are.
        fast, slow: centroid of the noise-free spot, pixels.
        fast_cal, slow_cal: predicted position, pixels.
        phi: spindle angle of the prediction (rad); of a still, that of the image.
        delpsi: the rotation (rad) onto the sphere of a still, 0 in a rotation.
        d: resolution (Å).
        partiality: of a rotation, the share of the whole reflection that is on the image; of a still, the brightness
            relative to that of the lattice point exactly on the sphere.
    """

    image: Integers
    h: Integers
    k: Integers
    l: Integers
    panel: Integers
    fast: Floats
    slow: Floats
    fast_cal: Floats
    slow_cal: Floats
    phi: Floats
    delpsi: Floats
    d: Floats
    partiality: Floats

    def __len__(self) -> int:
        return len(self.image)

    def take(self, places: NDArray[np.bool_] | Integers) -> Spots:
        """Some of them."""
        return Spots(*(getattr(self, f.name)[places] for f in fields(self)))

    @staticmethod
    def joined(parts: list[Spots]) -> Spots:
        """Several tables as one."""
        return Spots(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Spots)))


@dataclass(frozen=True)
class Law:
    """What decides how a lattice point scatters: shape, law of its radius, resolution limit (Å, 0 = none)."""

    shape: str
    radius: str
    dmin: float

    @property
    def isotropic(self) -> bool:
        """Whether a spot is a ball whatever the crystal's size (specs: deviations, D27)."""
        return self.radius == "nanobragg" and self.shape in ("gauss", "tophat")


def spots(seen: Sight, law: Law, threshold: float) -> Spots:
    """The reflections whose partiality is at least `threshold` and whose place is on a panel, by image and index."""
    found = _candidates(seen, law, threshold)
    terms = seen.cells.shape[1] * seen.cells.shape[2] * seen.wavelength.shape[1]
    size = max(MOST_TERMS // terms, 1)
    parts = [
        _evaluated(seen, law, threshold, Candidates(found.image[i : i + size], found.hkl[i : i + size]))
        for i in range(0, max(len(found.image), 1), size)
    ]
    whole = Spots.joined(parts)
    return whole.take(np.lexsort((whole.l, whole.k, whole.h, whole.image)))


def farthest(seen: Sight, dmin: float) -> Floats:
    """The largest |q| [b] (1/Å) that a corner of the detector sees of any source, or the resolution limit."""
    corners = np.concatenate([panel.corners() for panel in seen.panels], axis=1)
    directions = corners / np.linalg.norm(corners, axis=2, keepdims=True)
    apart = directions[:, :, None] - seen.incident[:, None]
    lengths = np.sqrt((apart**2).sum(3)) / seen.wavelength[:, None]
    # A corner may lie behind the sample, its panel not.
    most = (
        lengths.max((1, 2))
        if float((directions * seen.incident[:, :1]).sum(2).min()) > 0
        else 2.0 / seen.wavelength.min(1)
    )
    return np.asarray(most if dmin <= 0 else np.minimum(most, 1.0 / dmin))


def _candidates(seen: Sight, law: Law, threshold: float) -> Candidates:
    """Lattice points close enough to any sphere, at any phi step."""
    limit = farthest(seen, law.dmin)
    middle = seen.wavelength.shape[1] // 2
    wavelength, incident = seen.wavelength[:, middle], seen.incident[:, middle]
    apart = np.linalg.norm(seen.incident - incident[:, None], axis=2).max(1)
    colours = np.abs(1.0 / seen.wavelength - 1.0 / wavelength[:, None]).max(1)
    step = seen.osc / seen.steps if seen.steps > 1 else 0.0
    found = []
    for t in range(seen.steps):
        reciprocal = _reciprocal(seen.cells[:, t].mean(1))
        lengths = np.linalg.norm(reciprocal, axis=2) / seen.N
        reach = _reach(law, lengths, seen, threshold)
        # ε of another wavelength differs by Δ(1/λ)(1 - cos 2θ) < Δ(1/λ) q²λ²/2.
        shell = reach + limit * (seen.spread + apart + 0.5 * step) + colours * (limit * wavelength) ** 2 / 2.0
        found.append(in_shell(reciprocal, incident, wavelength, 1.05 * shell + 1e-9, limit))
    if len(found) == 1:
        return found[0]
    rows = np.unique(np.concatenate([np.column_stack([c.image, c.hkl]) for c in found]), axis=0)
    return Candidates(rows[:, 0], rows[:, 1:])


def _reach(law: Law, lengths: Floats, seen: Sight, threshold: float) -> Floats:
    """An upper bound [b] of the distance at which a lattice point still has `threshold` of its brightness."""
    width = lengths.max(1) if law.shape == "square" else np.sqrt((lengths**2).sum(1) / seen.fudge)
    if law.isotropic:
        width = 1.0 / (seen.N.prod(1) * np.sqrt(seen.fudge))
    if law.shape == "gauss":
        width = width * np.sqrt(RADIUS_FACTOR / 2.0)
    if law.shape == "tophat":
        width = width * np.sqrt(TOPHAT_CUT)
    # A mean over domains, steps and sources can reach the threshold only if one of them does.
    return Rocking(law.shape, width, *2 * (np.empty((len(width), 0)),)).reach(threshold)


def _evaluated(seen: Sight, law: Law, threshold: float, some: Candidates) -> Spots:
    image, hkl = some.image, some.hkl.astype(np.float64)
    cells = seen.cells.reshape(len(seen), -1, 3, 3)
    inverse = _reciprocal(cells)
    r = np.einsum("ni,njik->njk", hkl, inverse[image])  # [n, J, 3]
    s0 = seen.incident / seen.wavelength[..., None]
    s = r[:, :, None] + s0[image][:, None]  # [n, J, Q, 3]
    length = np.sqrt((s * s).sum(3))
    epsilon = length - 1.0 / seen.wavelength[image][:, None]
    rows = np.arange(len(image))
    nearest = np.abs(epsilon).reshape(len(image), -1).argmin(1)
    j, q = np.divmod(nearest, epsilon.shape[2])
    n = s[rows, j, q] / length[rows, j, q][:, None]
    reciprocal = inverse[image, j]
    rule = rocking(law.shape, law.radius, n, reciprocal, seen.N[image], seen.fudge[image])
    weights = rule.relative(epsilon) * seen.weight
    partiality = _partiality(seen, rule, image, hkl, weights)
    kept = np.flatnonzero(partiality >= threshold)
    image, hkl, weights = image[kept], hkl[kept], weights[kept]
    # Between two phi steps, nothing of a spot may be drawn though the rotation takes it in.
    none = np.flatnonzero(weights.reshape(len(image), -1).max(1) <= 0)
    weights[none, j[kept][none], q[kept][none]] = 1.0
    shift = _on_sphere(law, rule.take(kept), epsilon[kept], n[kept], reciprocal[kept], seen.N[image])
    fast, slow, panel = _centroids(seen, image, s[kept] - epsilon[kept][..., None] * shift, weights)
    phi, delpsi, ray = _predicted(seen, image, hkl)
    fast_cal, slow_cal = _on_panel(seen, image, ray, panel)
    d = 1.0 / np.linalg.norm(np.einsum("ni,nik->nk", hkl, _reciprocal(seen.at_start)[image]), axis=1)
    h, k, l = some.hkl[kept].T
    whole = Spots(image, h, k, l, panel, fast, slow, fast_cal, slow_cal, phi, delpsi, d, partiality[kept])
    return whole.take(panel >= 0)


def _partiality(seen: Sight, rule: Rocking, image: Integers, hkl: Floats, weights: Floats) -> Floats:
    """Of a still the mean of the terms; of a rotation what the rocking law lets in between its ends, step by step."""
    total = seen.weight.sum()
    if seen.steps == 1 or seen.osc == 0:
        return np.asarray(weights.mean(1).sum(1) / total)
    bounds = np.concatenate([seen.cells, seen.at_end[:, None]], axis=1)  # [b, T + 1, M, 3, 3]
    r = np.einsum("ni,ntmik->ntmk", hkl, _reciprocal(bounds)[image])
    s0 = seen.incident / seen.wavelength[..., None]
    found = np.zeros(len(image))
    for source, weight in enumerate(seen.weight):
        s = r + s0[image, source][:, None, None]
        epsilon = np.sqrt((s * s).sum(3)) - 1.0 / seen.wavelength[image, source][:, None, None]
        taken = rule.integral(epsilon)
        found += weight * np.abs(np.diff(taken, axis=1)).sum(1).mean(1)
    return np.asarray(found / total)


def _on_sphere(law: Law, rule: Rocking, epsilon: Floats, n: Floats, reciprocal: Floats, N: Floats) -> Floats:
    """The centre of a spot on the plane at ε over ε, [n, J, Q, 3] or with axes of 1: of component 1 along n."""
    if law.isotropic:
        return n[:, None, None]
    p = np.einsum("nj,nij->ni", n, reciprocal)
    if law.shape == "square":
        shares = rule.pull(epsilon) * (np.sign(p) / N)[:, None, None]
    else:
        shares = (p / N**2)[:, None, None]
    across = np.einsum("njqi,nik->njqk", shares, reciprocal)
    along = np.einsum("njqk,nk->njq", across, n)
    return np.asarray(across / np.where(np.abs(along) > 0, along, 1.0)[..., None])


def _centroids(seen: Sight, image: Integers, rays: Floats, weights: Floats) -> tuple[Floats, Floats, Integers]:
    """Mean place of the terms by their weights; panel -1 where the strongest one misses the detector."""
    count = len(image)
    rays = rays.reshape(count, -1, 3)
    weights = weights.reshape(count, -1)
    rays = rays / np.sqrt((rays * rays).sum(2))[..., None]
    strongest = rays[np.arange(count), weights.argmax(1)]
    panel = np.full(count, -1)
    fast, slow = np.zeros(count), np.zeros(count)
    for number, one in enumerate(seen.panels):
        f, s, inside = one.hits(image, strongest, True)
        new = inside & (panel < 0)
        panel[new], fast[new], slow[new] = number, f[new], s[new]
        if rays.shape[1] > 1:
            places, terms = np.nonzero(new[:, None] & (weights > NEGLIGIBLE * weights.max(1)[:, None]))
            f, s, _ = one.hits(image[places], rays[places, terms], True)
            share = weights[places, terms]
            total = np.bincount(places, share, count)
            fast[new] = (np.bincount(places, share * f, count)[new]) / total[new]
            slow[new] = (np.bincount(places, share * s, count)[new]) / total[new]
        off = (fast < 0) | (fast >= one.pixels_f) | (slow < 0) | (slow >= one.pixels_s)
        panel[new & off] = -1
    return fast, slow, panel


def _predicted(seen: Sight, image: Integers, hkl: Floats) -> tuple[Floats, Floats, Floats]:
    """phi, delpsi [n] and the ray [n, 3] of the lattice point, without mosaicity, at the mean beam."""
    middle = seen.wavelength.shape[1] // 2
    wavelength, incident = seen.wavelength[image, middle], seen.incident[image, middle]
    s0 = incident / wavelength[:, None]
    q = np.einsum("ni,nik->nk", hkl, _reciprocal(seen.at_start)[image])
    square = (q * q).sum(1)
    if seen.osc == 0:
        along = (q * incident).sum(1)
        across = q - along[:, None] * incident
        height = np.sqrt((across * across).sum(1))
        wanted = -0.5 * square * wavelength
        side = np.sqrt(np.maximum(square - wanted**2, 0.0))
        turned: Floats = wanted[:, None] * incident + (side / np.maximum(height, 1e-300))[:, None] * across
        delpsi = np.arctan2(wanted, side) - np.arctan2(along, height)
        return seen.phi[image], delpsi, s0 + turned
    axis = seen.axis
    parallel = (q @ axis)[:, None] * axis
    normal = q - parallel
    sideways = np.cross(axis, q)
    # s0·q(φ) = -q²/2, of the form A cos φ + B sin φ = C.
    A, B = (s0 * normal).sum(1), (s0 * sideways).sum(1)
    C = -0.5 * square - (s0 * parallel).sum(1)
    centre, half = np.arctan2(B, A), np.arccos(np.clip(C / np.maximum(np.hypot(A, B), 1e-300), -1.0, 1.0))
    turn = 2.0 * np.pi
    options = np.stack([centre - half, centre + half])
    options = options - turn * np.round((options - 0.5 * seen.osc) / turn)
    angle = np.where(np.abs(options[0] - 0.5 * seen.osc) <= np.abs(options[1] - 0.5 * seen.osc), *options)
    turned = parallel + normal * np.cos(angle)[:, None] + sideways * np.sin(angle)[:, None]
    return seen.phi[image] + angle, np.zeros(len(image)), s0 + turned


def _on_panel(seen: Sight, image: Integers, rays: Floats, panel: Integers) -> tuple[Floats, Floats]:
    directions = rays / np.sqrt((rays * rays).sum(1))[:, None]
    fast, slow = np.zeros(len(image)), np.zeros(len(image))
    for number, one in enumerate(seen.panels):
        on = panel == number
        f, s, _ = one.hits(image, directions, False)
        fast[on], slow[on] = f[on], s[on]
    return fast, slow


def _reciprocal(cells: Floats) -> Floats:
    """Rows a*, b*, c* of rows a, b, c [..., 3, 3]."""
    return np.asarray(np.swapaxes(np.linalg.inv(cells), -1, -2))
