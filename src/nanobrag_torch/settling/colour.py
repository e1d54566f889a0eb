"""Colour: structure factors at every wavelength, and channels of a spectrum that are merged."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.io.model import ModelSums, anomalous_factors
from nanobrag_torch.kernels.coloured_factors import ColouredFactors
from nanobrag_torch.models import Beam

CURVATURE = {"square": 2.0 * np.pi**2 / 3.0, "gauss": 4.0 / 0.63, "round": 2.0 * np.pi**2 / 3.0}
"""Largest second derivative of the squared lattice factor, over its peak, by N times the index (gauss: per fudge)."""


@dataclass(frozen=True)
class Channels:
    """A beam with fewer sources, and which of them each of the first ones went into.

    Args:
        beam: the beam as it is drawn.
        group: [Q] number of the source, in `beam`, of each source before.
        bound: largest change of any spot relative to its peak.
    """

    beam: Beam
    group: Tensor
    bound: float


def coloured_factors(sums: ModelSums, default_F: Tensor, wavelengths: Tensor) -> ColouredFactors:
    """The parts of the amplitudes of a model at the wavelengths [Q] (Å) of all sources; equal ones share a table."""
    distinct, table = np.unique(wavelengths.detach().numpy(), return_inverse=True)
    pairs = [anomalous_factors(sums.elements, float(wavelength)) for wavelength in distinct]
    low, high = sums.indices.min(axis=0), sums.indices.max(axis=0)
    sizes = tuple(int(n) for n in high - low + 1)
    i, j, k = (sums.indices - low).T
    place = torch.from_numpy(((i * sizes[1] + j) * sizes[2] + k).astype(np.int64))
    base = torch.from_numpy((sums.form_factors * sums.sums).sum(axis=0) + sums.solvent)
    table_of = torch.from_numpy(table.reshape(-1).astype(np.int64))
    return ColouredFactors(
        place=place,
        sizes=(sizes[0], sizes[1], sizes[2]),
        origin=(int(low[0]), int(low[1]), int(low[2])),
        default_F=default_F,
        base=base,
        sums=torch.from_numpy(np.ascontiguousarray(sums.sums)),
        f_prime=real(np.array([pair[0] for pair in pairs])),
        f_second=real(np.array([pair[1] for pair in pairs])),
        of_energy=torch.arange(len(distinct)),
        weights=torch.ones(len(distinct), dtype=torch.float64),
        of_source=table_of,
    )


def merged_colours(colours: ColouredFactors, before: Beam, channels: Channels) -> ColouredFactors:
    """The tables for a beam of merged channels: one for each, of all energies that went into it."""
    energy = colours.of_energy[colours.of_source]
    return replace(
        colours,
        f_prime=colours.f_prime[energy],
        f_second=colours.f_second[energy],
        of_energy=channels.group,
        weights=before.weights.detach(),
        of_source=torch.arange(channels.beam.sources),
    )


def merged_channels(beam: Beam, shape: str, fudge: float, extents: Tensor, finest: float, bound: float) -> Channels:
    """Neighbouring wavelengths of one direction as one source each, of their mean energy and summed weight.

    A source that moves from 1/λ to the mean 1/Λ of its group, weighted, moves every index by Δh_i = a_i·u s (1/λ - 1/Λ)
    with s = |d - i| and u a unit vector. With x_i = N_i Δh_i the squared lattice factor of one axis, over its peak, is
    a sum of cosines of x with weights that are not negative, so that its second derivative stays below that at 0, C.
    The first order cancels in the mean, and the error of a group is at most (C/2) ⟨(Σ|x_i|)²⟩ of the peak, with
    Σ|x_i| <= max |±N_a a ± N_b b ± N_c c| s |1/λ - 1/Λ|. It holds as long as the nearest reflection stays the same.

    Args:
        beam: the beam as it was said.
        shape: of the crystal. fudge: its factor.
        extents: [3, 3] rows N_a a, N_b b, N_c c (Å).
        finest: smallest d (Å) that the detector sees.
        bound: largest error that is allowed, relative to the peak.

    Raises:
        InputError: a shape without a bound.
    """
    if shape not in CURVATURE:
        problem = f"spots of the shape {shape} have sharp edges, so that no wavelength can stand for another"
        raise InputError("spectrum_merge", problem, "choose another shape, or leave it out")
    signs = torch.tensor(list(itertools.product((1.0,), (1.0, -1.0), (1.0, -1.0))), dtype=torch.float64)
    longest = float((signs @ extents.detach()).norm(dim=1).max())
    wavelengths = (beam.wavelength * beam.wavelength_ratios).detach()
    reach = float(wavelengths.max()) / finest * longest
    curvature = CURVATURE[shape] * (1.0 if shape == "square" else max(fudge, 1.0))
    groups, worst = _groups(beam, 1.0 / wavelengths, reach, curvature, bound)
    group = torch.empty(beam.sources, dtype=torch.int64)
    for number, members in enumerate(groups):
        group[members] = number
    ones = torch.zeros(len(groups), beam.sources, dtype=torch.float64)
    ones[group, torch.arange(beam.sources)] = 1.0
    weights = ones @ beam.weights
    wave_numbers = ones @ (beam.weights / beam.wavelength_ratios) / weights
    first = torch.tensor([members[0] for members in groups])
    merged = beam.replace(
        source_positions=beam.source_positions[first],
        wavelength_ratios=1.0 / wave_numbers,
        weights=weights * (len(groups) / beam.sources),
    )
    return Channels(merged, group, worst)


def _groups(
    beam: Beam, wave_numbers: Tensor, reach: float, curvature: float, bound: float
) -> tuple[list[list[int]], float]:
    """Lists of sources that go together, and the largest error of any of them."""
    directions = beam.source_positions.detach() / beam.source_positions.detach().norm(dim=1, keepdim=True)
    _, direction = torch.unique(directions, dim=0, return_inverse=True)
    k, w = wave_numbers.numpy(), beam.weights.detach().numpy()
    groups: list[list[int]] = []
    worst = 0.0
    for number in range(int(direction.max()) + 1):
        same = np.flatnonzero(direction.numpy() == number)
        start, errors = 0, 0.0
        order = same[np.argsort(k[same], kind="stable")]
        for end in range(1, len(order) + 1):
            error = np.inf
            if end < len(order):
                error = _error(k[order[start : end + 1]], w[order[start : end + 1]], reach, curvature)
            if error > bound:
                groups.append([int(i) for i in order[start:end]])
                worst, errors, start = max(worst, errors), 0.0, end
            else:
                errors = error
    return groups, worst


def _error(wave_numbers: np.ndarray, weights: np.ndarray, reach: float, curvature: float) -> float:
    mean = np.average(wave_numbers, weights=weights)
    return float(0.5 * curvature * reach**2 * np.average((wave_numbers - mean) ** 2, weights=weights))


__all__ = ["Channels", "coloured_factors", "merged_channels", "merged_colours"]
