"""From an experiment to the scene of its kernels, and the plain path through chunks."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from nanobrag_torch import Experiment, Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import MemoryBudgetError, NanobragWarning
from nanobrag_torch.geometry.vectors import real, vector
from nanobrag_torch.physics.accumulate import accumulate
from nanobrag_torch.pipeline.render import (
    RenderOptions,
    common_scale,
    lattice_of,
    panel_frame_of,
    pixel_scene,
    plain_sums,
    scaled,
)
from nanobrag_torch.units import CLASSICAL_ELECTRON_RADIUS_SQUARED

LINE = (
    "-default_F 100 -cell 40 45 50 80 85 95 -N 4 -detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 "
    "-misset 10 20 30 -mosaic 1 -mosaic_domains 3 -osc 1 -phisteps 2 -hdivrange 5 -dispersion 2 -oversample 2 "
    "-detector_thick 100 -detector_abs 300 -twotheta 5 -dump none.bin "
)


def experiment(line: str = LINE, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse(line.split()), physics)


def test_a_scene_holds_what_was_derived_once():
    source = experiment()
    scene = pixel_scene(source, 0)
    frame = panel_frame_of(source.detector.panel, source.beam.direction, exact=False)
    assert torch.equal(scene.origin, frame.origin)
    assert torch.equal(scene.close_distance, frame.close_distance)
    assert scene.A.shape == (6, 3, 3)
    assert torch.equal(scene.reciprocal, lattice_of(source.crystal, False).reciprocal)
    assert scene.terms == 2 * 4 * 4 * 6
    assert (scene.layers, scene.has_sensor, scene.polarized, scene.pixels_f) == (2, True, True, 20)


def test_the_beam_travels_away_from_its_sources():
    scene = pixel_scene(experiment(), 0)
    torch.testing.assert_close(scene.incident.norm(dim=1), torch.ones(4, dtype=torch.float64))
    assert (scene.incident[:, 0] > 0.99).all()
    assert scene.wavelength.tolist() == pytest.approx([1.2 * 0.99, 1.2 * 1.01] * 2)


def test_the_first_orientation_is_the_crystal_at_rest():
    source = experiment()
    scene = pixel_scene(source, 0)
    torch.testing.assert_close(scene.A[0], lattice_of(source.crystal, False).direct, rtol=1e-13, atol=1e-13)
    metric = scene.A @ scene.A.mT
    torch.testing.assert_close(metric, metric[:1].expand_as(metric), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(
    ("added", "physics", "field", "value"),
    [
        ("", "nanobragg", "background", "none"),
        ("-water 3", "nanobragg", "background", "nanobragg"),
        ("-water 3", "exact", "background", "exact"),
        ("", "nanobragg", "curved", "flat"),
        ("-curved_det", "nanobragg", "curved", "nanobragg"),
        ("-curved_det", "exact", "curved", "exact"),
        ("", "nanobragg", "radius", "nanobragg"),
        ("", "exact", "radius", "exact"),
        ("-nopolar", "exact", "polarized", False),
        ("-detector_abs inf", "nanobragg", "has_sensor", False),
    ],
)
def test_each_mode_names_its_laws(added, physics, field, value):
    assert getattr(pixel_scene(experiment(LINE + added, physics), 0), field) == value


def test_the_area_of_a_point_pixel():
    """Deviation D46."""
    assert float(pixel_scene(experiment(LINE), 0).point_area) == 1.0
    assert float(pixel_scene(experiment(LINE, "exact"), 0).point_area) == pytest.approx(0.0004**2)


def test_water_that_asks_for_a_gradient_takes_part_though_it_is_zero():
    water = torch.zeros((), dtype=torch.float64, requires_grad=True)
    assert pixel_scene(experiment().replace(water=water), 0).background == "nanobragg"


def test_the_scale_is_common_to_every_pixel():
    source = experiment(LINE + "-fluence 1e24")
    expected = CLASSICAL_ELECTRON_RADIUS_SQUARED * 1e24 / (4 * 3 * 2 * 4)
    assert float(common_scale(source)) == pytest.approx(expected, rel=1e-14)
    total = vector((1.0, 2.0))
    torch.testing.assert_close(scaled(source, total, None), expected * total)


def test_the_background_is_scaled_twice_in_the_faithful_mode_and_once_in_the_exact_one():
    """Deviation D29."""
    water = "-water 10 -fluence 1e24"
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    faithful, exact = (
        float(scaled(experiment(LINE + water, physics), zero, one)) for physics in ("nanobragg", "exact")
    )
    assert faithful / exact == pytest.approx(CLASSICAL_ELECTRON_RADIUS_SQUARED * 1e24 / 96, rel=1e-13)


def test_a_frame_that_does_not_fit_is_tried_in_smaller_chunks(monkeypatch):
    source = experiment()
    scene, pixels = pixel_scene(source, 0), torch.arange(40)
    expected = plain_sums(scene, pixels, RenderOptions(backend="reference")).total
    sizes: list[int] = []

    def narrow(scene, chunk, lattice):
        sizes.append(len(chunk))
        if len(chunk) > 8:
            raise torch.OutOfMemoryError("full")
        return accumulate(scene, chunk, lattice)

    monkeypatch.setattr("nanobrag_torch.pipeline.render.accumulate", narrow)
    found = plain_sums(scene, pixels, RenderOptions(backend="reference", budget=640 * 20)).total
    assert torch.equal(found, expected)
    assert sizes[0] == 20
    assert sizes[1:] == [5] * 8


def test_one_pixel_that_does_not_fit_is_an_error(monkeypatch):
    def full(scene, chunk, lattice):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("nanobrag_torch.pipeline.render.accumulate", full)
    with pytest.raises(MemoryBudgetError, match="single pixel"):
        plain_sums(pixel_scene(experiment(), 0), torch.arange(4), RenderOptions(backend="reference"))


def test_other_failures_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(scene, chunk, lattice):
        raise RuntimeError("something else")

    monkeypatch.setattr("nanobrag_torch.pipeline.render.accumulate", broken)
    with pytest.raises(RuntimeError, match="something else"):
        plain_sums(pixel_scene(experiment(), 0), torch.arange(4), RenderOptions(backend="reference"))


def test_nothing_that_asks_for_a_gradient_is_detached():
    """Every tensor of the scene that depends on a leaf carries its graph."""
    source = experiment(LINE + "-water 3")
    leaf = torch.ones((), dtype=torch.float64, requires_grad=True)

    def grown(value):
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return value * leaf
        return value

    def all_of(part):
        return replace(part, **{name: grown(getattr(part, name)) for name in part.__dataclass_fields__})

    panel = all_of(source.detector.panel)
    crystal = all_of(source.crystal)
    crystal = crystal.replace(
        mosaic=all_of(source.crystal.mosaic), structure_factors=all_of(source.crystal.structure_factors)
    )
    grown_source = source.replace(
        crystal=crystal,
        beam=all_of(source.beam),
        scan=all_of(source.scan),
        detector=replace(source.detector, panels=(panel,)),
    )
    scene = pixel_scene(grown_source, 0)
    held = {name: value for name, value in vars(scene).items() if isinstance(value, torch.Tensor)}
    constant = {name for name, value in held.items() if not value.requires_grad}
    assert constant == {"point_area"}
    assert scene.structure_factors.default_F.requires_grad
    assert Simulator(grown_source).run().array.requires_grad


def test_a_scene_moves_to_a_device_as_a_whole():
    scene = pixel_scene(experiment(), 0)
    for tensor in scene.to(torch.device("cpu")).tensors():
        assert tensor.device.type == "cpu"
    assert float(scene.to(torch.device("cpu")).pixel_size) == float(real(0.0004))
