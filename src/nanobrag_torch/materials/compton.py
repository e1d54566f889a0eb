"""Compton scattering of a slab of known composition."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COMPTON_WAVELENGTH = 0.02426310236
"""h/(m_e c), Å (CODATA 2018: 2.42631023867e-12 m)."""


@dataclass(frozen=True)
class Compton:
    """A material of `column` formula units per area (1/m²) that scatters inelastically.

    The number of electrons that recoil is S(s) = Σ_e n_e (Z_e - f_e(s)²/Z_e), s = sin θ/λ: the closure over all final
    states with the electrons of an atom independent and alike; exact for hydrogen and for helium's product state.
    Each scatters by the law of Klein and Nishina for partly polarized photons,

        dσ/dΩ = r_e² P² [p + (P + 1/P - 2)/2],    P = 1/(1 + (λ_C/λ)(1 - cos 2θ)),

    with p Kahn's polarization factor; at low energies P = 1.

    Args:
        a, b: [E, 4] coefficients of f_e = Σ a exp(-b s²) + c (International Tables C, 6.1.1.4).
        c: [E].
        atoms: [E] atoms of each element in a formula unit.
        numbers: [E] atomic numbers.
        column: [] formula units per area (1/m²).
    """

    a: Tensor
    b: Tensor
    c: Tensor
    atoms: Tensor
    numbers: Tensor
    column: Tensor

    def to(self, device: torch.device) -> Compton:
        """The material on another device."""
        return Compton(*(t.to(device) for t in (self.a, self.b, self.c, self.atoms, self.numbers, self.column)))

    def recoiling(self, stol: Tensor) -> Tensor:
        """S(s) [P], electrons of a formula unit that recoil, at sin θ/λ [P] (1/Å)."""
        square = stol * stol
        total = torch.zeros_like(stol)
        for a, b, c, n, z in zip(self.a, self.b, self.c, self.atoms, self.numbers, strict=True):
            f = c + sum(a[i] * torch.exp(-b[i] * square) for i in range(4))
            total = total + n * (z - torch.minimum(f, z) ** 2 / z)
        return total

    def per_area(self, stol: Tensor, cosine: Tensor, wavelength: Tensor, polarization: Tensor) -> Tensor:
        """Recoiling electrons per area (1/m²) times dσ/dΩ over r_e², [P].

        Shapes: `stol`, `cosine` of 2θ and `polarization` [P]; `wavelength` [] Å.
        """
        ratio = 1.0 / (1.0 + (COMPTON_WAVELENGTH / wavelength) * (1.0 - cosine))
        law = ratio * ratio * (polarization + 0.5 * (ratio + 1.0 / ratio - 2.0))
        return self.column * self.recoiling(stol) * law
