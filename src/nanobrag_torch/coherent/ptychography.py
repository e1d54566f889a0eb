"""Ptychography: exit waves of a probe on an object, and the photons that they send into a far-field detector.

The object is complex [H, W], the probe complex [M, N, N]: M incoherent modes, Σ|P|² = photons a frame. A position
[2] (slow, fast; pixels) is where the corner of the probe's array lies in the object. The exit wave of a frame is the
object around its whole pixel times the probe moved by the rest; the far field is an orthonormal transform, so that
the photons in a frame are those in its exit waves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.coherent.metrics import probe_diameter, scan_overlap
from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Beam, Detector
from nanobrag_torch.numerics import normalise
from nanobrag_torch.random import Purpose, normal, poisson
from nanobrag_torch.units import METRES_PER_ANGSTROM

LEAST_OVERLAP = 0.6
LARGEST_TILT = 0.01
"""Angle (rad) between beam and detector normal up to which a detector counts as facing the beam."""
LARGEST_FRESNEL = 1.0
"""Fresnel number D²/(λz) of the probe up to which a distance is far."""


class FarField(NamedTuple):
    """Sampling of a far field: `frame` pixels across, `wavelength`, `distance` and `detector_pixel` [] in m."""

    frame: int
    wavelength: Tensor
    distance: Tensor
    detector_pixel: Tensor

    @property
    def object_pixel(self) -> Tensor:
        """Pixel [] of object and probe, λz/(N·p), m."""
        return self.wavelength * self.distance / (self.frame * self.detector_pixel)


def far_field(beam: Beam, detector: Detector) -> FarField:
    """The sampling that a settled beam and detector give.

    Raises:
        InputError: the detector is curved, tilted, not square or of several panels, or the beam has several colours.
    """
    if len(detector.panels) != 1:
        raise InputError("panels", f"{len(detector.panels)} of them", "cut one square panel out of the detector")
    panel = detector.panel
    if detector.curved:
        raise InputError("curved", "a curved detector samples no Fourier transform", "choose a flat detector")
    if panel.pixels_f != panel.pixels_s:
        raise InputError("pixels", f"{panel.pixels_s} x {panel.pixels_f}", "cut a square out of the detector")
    if beam.sources != 1:
        raise InputError("sources", f"{beam.sources} of them", "give one colour and direction; use modes of the probe")
    from nanobrag_torch.pipeline.render import panel_frame_of

    frame = panel_frame_of(panel, beam.direction, True)
    cosine = float((normalise(frame.normal) * beam.direction).sum().detach().abs())
    tilt = math.acos(min(1.0, cosine))
    if tilt > LARGEST_TILT:
        told = f"the detector is tilted by {math.degrees(tilt):.2f} degrees to the beam"
        raise InputError("rotation", told, f"turn it back, to {math.degrees(LARGEST_TILT):.2f} degrees or less")
    return FarField(panel.pixels_f, beam.wavelength * METRES_PER_ANGSTROM, panel.distance, panel.pixel_size)


def check_scan(field: FarField, probe: Tensor, positions: Tensor, shape: tuple[int, int]) -> None:
    """Refuse what a far-field transform or a reconstruction cannot serve.

    Args:
        field: the sampling. probe: complex [M, N, N]. positions: [F, 2] pixels. shape: pixels of the object.

    Raises:
        InputError: an under-sampled probe, a distance that is not far, positions outside, too little overlap.
    """
    check_positions(positions, field.frame, shape)
    diameter = probe_diameter(probe)
    if diameter > field.frame / 2:
        told = f"a diameter of {diameter:.1f} pixels is under-sampled in a frame of {field.frame}"
        raise InputError("probe", told, f"focus it below {field.frame // 2} pixels, or move the detector away")
    size = diameter * float(field.object_pixel.detach())
    wavelength, distance = float(field.wavelength.detach()), float(field.distance.detach())
    fresnel = size**2 / (wavelength * distance)
    if fresnel > LARGEST_FRESNEL:
        told = f"{distance * 1e3:g} mm is not far from a probe of {size * 1e6:.3g} µm (Fresnel number {fresnel:.2g})"
        raise InputError("distance", told, f"give more than {size**2 / wavelength * 1e3:.4g} mm")
    check_overlap(positions, diameter)


def check_overlap(positions: Tensor, diameter: float) -> None:
    """Refuse a scan [F, 2] whose places under a probe of `diameter` pixels share too little of the object.

    Raises:
        InputError: fewer than two places, or an overlap below `LEAST_OVERLAP`.
    """
    overlap = scan_overlap(positions, diameter)
    if overlap < LEAST_OVERLAP:
        told = f"neighbouring places overlap by {100 * overlap:.0f} % under a probe of {diameter:.1f} pixels"
        raise InputError("positions", told, f"scan in steps below {(1 - LEAST_OVERLAP) * diameter:.1f} pixels")


def check_together(positions: Tensor, frame: int) -> None:
    """Refuse a scan [F, 2] that falls into pieces: places more than two frames of `frame` pixels from all others.

    One wild position would ask for an object that reaches out to it. Places are put into squares as large as a frame;
    squares that touch belong together.

    Raises:
        InputError: names the first place outside the largest piece.
    """
    squares = [(int(y), int(x)) for y, x in torch.floor(positions.detach() / frame).tolist()]
    left, pieces = set(squares), []
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            piece.add((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge += near
        pieces.append(piece)
    if len(pieces) > 1:
        largest = max(pieces, key=lambda piece: sum(square in piece for square in squares))
        number = next(i for i, square in enumerate(squares) if square not in largest)
        place = ", ".join(f"{float(x):.6g}" for x in positions[number])
        told = f"frame {number} at ({place}) pixels lies apart from the rest of the scan"
        raise InputError("positions", told, "leave it out, or reconstruct the pieces one by one")


def check_positions(positions: Tensor, frame: int, shape: tuple[int, int]) -> None:
    """Refuse positions [F, 2] that are not finite or where a frame would reach out of the object.

    Raises:
        InputError: names the first such frame.
    """
    if positions.dim() != 2 or positions.shape[1] != 2 or not len(positions):
        raise InputError("positions", f"their shape is {list(positions.shape)}", "give [frames, 2]")
    fixed = positions.detach()
    largest = torch.tensor([n - frame for n in shape], dtype=fixed.dtype)
    wrong = torch.nonzero(~((fixed >= -0.5) & (fixed <= largest + 0.5)).all(1)).reshape(-1)
    if len(wrong):
        number = int(wrong[0])
        place = ", ".join(f"{float(x):.2f}" for x in fixed[number])
        told = f"frame {number} at ({place}) pixels reaches out of an object of {shape[0]} x {shape[1]}"
        raise InputError("positions", told, "give a larger object or leave the frame out")


class Exit(NamedTuple):
    """Exit waves of frames: `waves` complex [B, M, N, N], `patches` [B, N, N] and `probes` [B, M, N, N].

    `places` [B, N·N] are the numbers of the object's pixels under each frame.
    """

    waves: Tensor
    patches: Tensor
    probes: Tensor
    places: Tensor


def exit_waves(target: Tensor, probe: Tensor, positions: Tensor) -> Exit:
    """Exit waves of an object complex [H, W] under a probe complex [M, N, N] at positions [B, 2]."""
    size, (rows, columns) = probe.shape[-1], target.shape
    whole = torch.round(positions.detach())
    most = torch.tensor([rows - size, columns - size], dtype=whole.dtype)
    whole = torch.minimum(whole.clamp_min(0), most)
    corner = whole.long()
    line = torch.arange(size)
    places = (corner[:, 0, None, None] + line[:, None]) * columns + corner[:, 1, None, None] + line
    places = places.reshape(len(positions), -1)
    patches = target.reshape(-1)[places].reshape(-1, size, size)
    probes = moved_probes(probe, positions - whole)
    return Exit(patches[:, None] * probes, patches, probes, places)


def moved_probes(probe: Tensor, rest: Tensor) -> Tensor:
    """The probe [M, N, N] moved by each of [B, 2] pixels → [B, M, N, N], by its Fourier series."""
    return moved(probe[None], rest)


def moved(waves: Tensor, rest: Tensor) -> Tensor:
    """Waves [B or 1, M, N, N], each moved by its own of [B, 2] pixels; −rest gives the adjoint."""
    frequency = -2.0 * math.pi * torch.fft.fftfreq(waves.shape[-1], dtype=rest.dtype)
    phase = rest[:, 0, None, None] * frequency[:, None] + rest[:, 1, None, None] * frequency
    turn = torch.complex(torch.cos(phase), torch.sin(phase)).to(waves.dtype)
    found: Tensor = torch.fft.ifft2(torch.fft.fft2(waves) * turn[:, None])
    return found


def propagated(waves: Tensor) -> Tensor:
    """Far field of exit waves [..., N, N], the direct beam in the corner; orthonormal."""
    field: Tensor = torch.fft.fft2(waves, norm="ortho")
    return field


def intensities(target: Tensor, probe: Tensor, positions: Tensor) -> Tensor:
    """Expected photons [B, N, N], the direct beam at pixel N/2, of frames at positions [B, 2] (pixels).

    Differentiable by object [H, W], probe [M, N, N] and positions; positions in metres over
    `FarField.object_pixel` make it so by distance and wavelength.
    """
    field = propagated(exit_waves(target, probe, positions).waves)
    frames: Tensor = torch.fft.fftshift((field.real**2 + field.imag**2).sum(1), dim=(-2, -1))
    return frames


@dataclass(frozen=True)
class Noise:
    """What a detector adds: `seed`, `readout` (rms, photons), and whether photons are counted at all."""

    seed: int = 1
    readout: float = 0.0
    photons: bool = True


def counted(expected: Tensor, first: int, noise: Noise) -> Tensor:
    """Frames [B, N, N] as counted by a detector; `first` is the number of the first, on which its noise depends."""
    frames = []
    for number, frame in enumerate(expected.detach().to(torch.float64).unbind(0), first):
        values = frame.numpy()
        if noise.photons:
            values = poisson(values, noise.seed, number, Purpose.PHOTONS)
        made = torch.from_numpy(values.copy())
        if noise.readout > 0.0:
            deviates = normal(made.numel(), noise.seed, number, Purpose.READOUT)
            made = made + noise.readout * torch.from_numpy(deviates).reshape(made.shape)
        frames.append(made)
    return torch.stack(frames)
