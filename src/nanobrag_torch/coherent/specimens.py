"""Specimens to simulate: scans of a textured film under a defocused probe, and a crystal with a dislocation."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nanobrag_torch.coherent.crystal import cell_weights
from nanobrag_torch.coherent.frames import MemoryFrames
from nanobrag_torch.coherent.pie import State
from nanobrag_torch.coherent.ptychography import Noise, counted, intensities

EDGE = 10.0


class Measurement(NamedTuple):
    """A simulated scan: the `truth`, positions [F, 2] as they were `said`, `mask` bool [N, N], and its `frames`."""

    truth: State
    said: Tensor
    mask: Tensor
    frames: MemoryFrames


def texture(shape: tuple[int, int], seed: int, width: float = 1.5) -> Tensor:
    """A random field [H, W] of mean 0 and variance 1, smooth over `width` pixels, with a 1/q spectrum."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) for n in shape)
    squared = rows[:, None] ** 2 + columns**2
    weight = torch.exp(-squared * (math.pi * width) ** 2) / (0.01 + squared.sqrt())
    made: Tensor = torch.fft.ifft2(torch.fft.fft2(noise) * weight).real
    return (made - made.mean()) / made.std()


def film(shape: tuple[int, int], seed: int = 1) -> Tensor:
    """A transparent film, complex [H, W]: |O| between 0.55 and 0.95, phases within 1 rad."""
    amplitude = 0.75 + 0.2 * torch.tanh(texture(shape, seed))
    phase = torch.tanh(texture(shape, seed + 1))
    return torch.polar(amplitude, phase)


def defocused_probe(size: int, photons: float, diameter: float, defocus: float = 25.0) -> Tensor:
    """A disc of `diameter` pixels with soft edges, `defocus` = λz/pixel² behind its focus; complex [1, N, N]."""
    line = torch.arange(size, dtype=torch.float64) - size // 2
    radius = (line[:, None] ** 2 + line**2).sqrt()
    disc = torch.special.expit(diameter / 2 - radius).to(torch.complex128)
    f = torch.fft.fftfreq(size, dtype=torch.float64)
    kernel = torch.polar(torch.ones(size, size, dtype=torch.float64), -defocus * math.pi * (f[:, None] ** 2 + f**2))
    probe = torch.fft.ifft2(torch.fft.fft2(disc) * kernel)
    scaled: Tensor = probe * (math.sqrt(photons) / float(probe.norm()))
    return scaled[None]


def raster(count: int, step: float, jitter: float, seed: int = 1) -> Tensor:
    """Positions [count², 2] in steps with a random part of ±jitter, so that no pattern repeats."""
    line = torch.arange(count, dtype=torch.float64) * step
    generator = torch.Generator().manual_seed(seed)
    return torch.cartesian_prod(line, line) + jitter * _uniform(count**2, generator)


def measure(  # noqa: PLR0913
    size: int = 64,
    count: int = 15,
    step: float = 5.0,
    photons: float = 1e6,
    error: float = 2.0,
    dead: float = 0.05,
    seed: int = 1,
    noise: bool = True,
) -> Measurement:
    """A scan of count² frames of a film, with positions said wrongly by ±error pixels, dead pixels and a beam stop."""
    generator = torch.Generator().manual_seed(seed)
    positions = raster(count, step, step / 5, seed) + EDGE
    extent = math.ceil(size + (count - 1) * step + 2 * EDGE)
    truth = State(film((extent, extent), seed), defocused_probe(size, photons, 0.3 * size, 25.0), positions)
    said = positions + error * _uniform(len(positions), generator)
    mask = torch.rand(size, size, generator=generator) >= dead
    middle = slice(size // 2 - 2, size // 2 + 3)
    if dead > 0.0:
        mask[middle, middle] = False
    parts = [intensities(truth.target, truth.probe, some) for some in torch.split(positions, 32)]
    frames = counted(torch.cat(parts), 0, Noise(seed, photons=noise)) * mask
    return Measurement(truth, said, mask, MemoryFrames(frames))


def dislocated_crystal(cells: int = 24) -> Tensor:
    """Weights [cells, cells, cells] for the reflection (0, 0, 1) of a crystal with facets and a screw dislocation.

    The dislocation runs along c, off the middle, with c for its Burgers vector: u_c = θ/2π. Beside it the planes are
    bent by a tenth of c.
    """
    line = torch.arange(cells, dtype=torch.float64) - (cells - 1) / 2.0
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    inside = (x + y + z < 0.9 * cells) & (x - 0.7 * y < 0.75 * cells) & (0.8 * y - z < 0.7 * cells)
    turns = torch.atan2(y - cells / 12.0, x + cells / 24.0) / (2.0 * math.pi)
    bent = 0.1 * torch.cos(2.0 * math.pi * z / cells)
    nothing = torch.zeros_like(bent)
    return cell_weights((0.0, 0.0, 1.0), torch.stack([nothing, nothing, turns + bent], -1), inside.to(torch.float64))


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return 2.0 * torch.rand(count, 2, generator=generator, dtype=torch.float64) - 1.0
