from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, SamplingConfig, settle
from nanobrag_torch.geometry.vectors import real, vector

SCENE = Config(
    crystal=CrystalConfig(cell_a=40.0, Na=3, Nb=3, Nc=3, default_F=10.0, mosaic_spread_deg=1.0, mosaic_domains=5),
    beam=BeamConfig(hdiv_range_mrad=10.0, hdiv_steps=3, dispersion_percent=1.0, dispersion_steps=2),
    detector=DetectorConfig(pixels_f=4, pixels_s=3, thickness_um=100.0),
    sampling=SamplingConfig(osc_deg=2.0, phi_steps=4, oversample=3),
)


@pytest.fixture(scope="module")
def experiment():
    return settle(SCENE)


def test_steps_are_terms_without_layers(experiment):
    """Sources 3 x 2, domains 5, phi steps 4, sub-pixels 3 x 3; two layers are not counted (specs: intensity 2)."""
    assert experiment.detector.panel.layers == 2
    assert experiment.steps == 6 * 5 * 4 * 9


def test_steps_cannot_overflow(experiment):
    """Deviation D53: plain integers, however large."""
    many = experiment.replace(steps=10**6, oversample=10**4)
    assert many.steps == 6 * 5 * 10**6 * 10**8


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("misset", vector((0.1, 0.2, 0.3)), lambda e: e.crystal.misset),
        ("start", real(0.3), lambda e: e.scan.start),
        ("wavelength", real(1.5), lambda e: e.beam.wavelength),
        ("distance", real(0.2), lambda e: e.detector.panel.distance),
        ("curved", True, lambda e: e.detector.curved),
        ("dmin", 3.0, lambda e: e.sampling.dmin),
        ("physics", "nanobragg", lambda e: e.physics),
    ],
)
def test_replace_reaches_the_component_that_has_the_field(experiment, field, value, where):
    before = where(experiment)
    assert where(experiment.replace(**{field: value})) is value
    assert where(experiment) is before


def test_replace_takes_several_fields_of_several_components(experiment):
    new = experiment.replace(misset=vector((0.1, 0.0, 0.0)), distance=real(0.3), twotheta=real(0.1))
    assert float(new.crystal.misset[0]) == 0.1
    assert (float(new.detector.panel.distance), float(new.detector.panel.twotheta)) == (0.3, 0.1)
    assert new.scan is experiment.scan


def test_replace_takes_a_component_and_a_field_of_it(experiment):
    beam = experiment.beam.replace(fluence=real(5.0))
    new = experiment.replace(beam=beam, wavelength=real(2.0))
    assert (float(new.beam.fluence), float(new.beam.wavelength)) == (5.0, 2.0)


def test_names_that_nobody_or_several_have_are_refused(experiment):
    with pytest.raises(TypeError, match="distance_mm.*no component"):
        experiment.replace(distance_mm=3.0)
    with pytest.raises(TypeError, match="range|axis"):
        experiment.replace(misspelt_axis=torch.zeros(3))


def test_a_replaced_field_keeps_its_graph(experiment):
    spread = torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
    new = experiment.replace(mosaic=replace(experiment.crystal.mosaic, spread=spread))
    assert new.crystal.mosaic.spread is spread
