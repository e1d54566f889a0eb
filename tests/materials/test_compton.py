from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nanobrag_torch.geometry.vectors import real
from nanobrag_torch.materials.composition import composition
from nanobrag_torch.materials.compton import COMPTON_WAVELENGTH, Compton


def of(formula: str) -> Compton:
    atoms = composition(formula)
    a, b, c = map(real, atoms.form_factor_terms())
    return Compton(a, b, c, real(atoms.atoms), real(atoms.numbers()), real(1.0))


def test_all_electrons_recoil_far_out_and_none_forward():
    assert abs(float(of("H2O").recoiling(real([0.0]))[0])) < 0.02
    assert float(of("H2O").recoiling(real([1.9]))[0]) == pytest.approx(10.0, abs=0.4)


def test_hydrogen_is_exact():
    """For one electron S = 1 - f²."""
    s = np.linspace(0.05, 0.6, 12)
    a, b, c = composition("H").form_factor_terms()
    f = np.exp(-np.outer(s**2, b[0])) @ a[0] + c[0]
    assert np.abs(of("H").recoiling(real(s)).numpy() - (1 - f**2)).max() < 1e-12


def test_total_cross_section_of_free_electrons_is_that_of_klein_and_nishina():
    """∫ dσ/dΩ over the sphere at 100 keV against the closed form."""
    wavelength = 12.39842 / 100.0
    x = COMPTON_WAVELENGTH / wavelength
    cosine, weight = np.polynomial.legendre.leggauss(200)
    free = Compton(real(np.zeros((1, 4))), real(np.zeros((1, 4))), real([0.0]), real([1.0]), real([1.0]), real(1.0))
    p = real(0.5 * (1 + cosine**2))
    law = free.per_area(real(np.zeros_like(cosine)), real(cosine), real(wavelength), p).numpy()
    total = 2 * math.pi * (weight * law).sum()
    log = math.log(1 + 2 * x)
    form = (1 + x) / x**2 * (2 * (1 + x) / (1 + 2 * x) - log / x) + log / (2 * x) - (1 + 3 * x) / (1 + 2 * x) ** 2
    assert total == pytest.approx(2 * math.pi * form, rel=1e-10)


def test_gradients():
    stol, cosine = real([0.2, 0.4]).requires_grad_(), real([0.9, 0.5]).requires_grad_()
    wavelength, p = real(0.9).requires_grad_(), real([0.95, 0.7]).requires_grad_()
    slab = of("C3H8N")
    assert torch.autograd.gradcheck(lambda *x: slab.per_area(*x), (stol, cosine, wavelength, p))


@pytest.mark.parametrize("formula", ["", "h2o", "H2O)", "Zz3", "H0", "H2 O"])
def test_no_formulas(formula):
    with pytest.raises(ValueError, match="formula|element"):
        composition(formula)


def test_composition_and_absorption_of_water():
    water = composition("H2O")
    assert water.mass == pytest.approx(18.015, abs=1e-3)
    # 5.0 to 5.4 cm²/g at 10 keV (International Tables C, photoabsorption of H2O: 4.94 cm²/g)
    assert water.attenuation(1.0, 1.239842) / 100.0 == pytest.approx(4.94, rel=0.05)
