"""The table of shapes: a law in plain torch is enough to use a new one."""

from __future__ import annotations

import torch
from torch import Tensor

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, Simulator, settle
from nanobrag_torch.config.crystal import SHAPES
from nanobrag_torch.kernels.shapes import AMPLITUDES, CODES


def test_every_shape_of_the_configuration_has_a_law_and_a_number():
    assert set(SHAPES) == set(AMPLITUDES)
    assert set(SHAPES) <= set(CODES)
    assert len(set(CODES.values())) == len(CODES)


def test_a_shape_without_compiled_code_is_served_by_the_definition(monkeypatch):
    def lorentz(delta: tuple[Tensor, ...], N: Tensor, fudge: Tensor, reciprocal: Tensor, radius: str) -> Tensor:
        return N.prod() / (1.0 + fudge * sum((n * d) ** 2 for n, d in zip(N, delta, strict=True)))

    monkeypatch.setitem(AMPLITUDES, "lorentz", lorentz)
    monkeypatch.setitem(SHAPES, "lorentz", "lorentzian")
    crystal = CrystalConfig(cell_a=50.0, Na=5, Nb=5, Nc=5, default_F=100.0, shape="lorentz")
    detector = DetectorConfig(distance_mm=100.0, pixels_f=8, pixels_s=8, pixel_mm=4.0)
    found = Simulator(settle(Config(crystal=crystal, detector=detector))).run().array
    assert bool((found > 0).all())
    assert bool(torch.isfinite(found).all())
