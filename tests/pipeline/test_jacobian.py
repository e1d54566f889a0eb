"""The Jacobian of pixels by quantities: against the plain definition, and forward mode through a render."""

from __future__ import annotations

import pytest
import torch

from nanobrag_torch import Simulator, StructureFactors
from nanobrag_torch.errors import InputError
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.pipeline import jacobian
from nanobrag_torch.pipeline.render import pixel_scene

NAMES = [
    "misset", "cell_lengths", "cell_angles", "N", "mosaic_spread", "fluence", "water", "wavelength",
    "polarization_factor", "distance", "beam_centre", "rotations", "twotheta", "phi",
]  # fmt: skip


SCENES = {
    "plain": {},
    "no background": {"crystal": {"water_um": 0.0}},
    "curved": {"detector": {"curved": True}},
    "gauss": {"crystal": {"shape": "gauss"}},
    "round": {"crystal": {"shape": "round"}},
}


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
@pytest.mark.parametrize("name", SCENES)
def test_every_column_is_that_of_the_plain_definition(small_scene, name, physics):
    experiment = small_scene(physics, **SCENES[name])
    values, found = Simulator(experiment).jacobian(NAMES)
    plain, expected = Simulator(experiment, backend="reference").jacobian(NAMES)
    assert values.shape == (320,)
    assert found.shape == (320, sum(QUANTITIES[n].take(experiment).numel() for n in NAMES))
    assert (values - plain).norm() <= 1e-10 * plain.norm()
    assert ((found - expected).norm(dim=0) <= 1e-8 * expected.norm(dim=0)).all()
    assert (values - Simulator(experiment).run().values[0]).norm() <= 1e-10 * values.norm()


def test_columns_follow_central_differences(small_scene):
    experiment = small_scene(crystal={"water_um": 0.0})
    _, found = Simulator(experiment).jacobian(["distance", "misset"])
    for name, column, step in (("distance", 0, 1e-6), ("misset", 2, 1e-6)):
        take, put = QUANTITIES[name].take(experiment), QUANTITIES[name].put
        shift = torch.zeros_like(take)
        shift.reshape(-1)[0 if name == "distance" else 1] = step
        up, down = (Simulator(put(experiment, take + s * shift)).run().values[0] for s in (1, -1))
        slope = (up - down) / (2 * step)
        assert (found[:, column] - slope).norm() <= 1e-5 * slope.norm()


def test_a_quantity_that_only_scales_has_its_column(small_scene):
    experiment = small_scene(crystal={"water_um": 0.0})
    values, found = Simulator(experiment).jacobian(["fluence"])
    assert (found[:, 0] * experiment.beam.fluence - values).norm() <= 1e-14 * values.norm()


@pytest.mark.parametrize("name", ["panel_shifts", "panel_turns", "detector_shift", "detector_turn"])
def test_quantities_of_several_panels(small_scene, name):
    experiment = small_scene("exact")
    near = experiment.detector.panel
    origin = pixel_scene(experiment, 0).origin
    panels = tuple(near.replace(origin=origin * factor) for factor in (1.0, 1.2, 1.5))
    detector = experiment.detector.replace(panels=panels, groups=(0, 1, 0) if "panel" in name else None)
    experiment = experiment.replace(detector=detector)
    values, found = Simulator(experiment).jacobian([name, "misset"])
    _, expected = Simulator(experiment, backend="reference").jacobian([name, "misset"])
    assert values.shape == (960,)
    assert ((found - expected).norm(dim=0) <= 1e-8 * expected.norm(dim=0)).all()
    assert (expected.norm(dim=0) > 0.0).all()


def test_a_panel_without_pixels_costs_nothing(small_scene, monkeypatch):
    experiment = small_scene()
    near = experiment.detector.panel
    panels = tuple(near.replace(distance=near.distance * factor) for factor in (1.0, 1.2, 1.5))
    experiment = experiment.replace(detector=experiment.detector.replace(panels=panels))
    whole = Simulator(experiment).jacobian(["misset"])
    drawn = []
    real = jacobian.pixel_scene
    monkeypatch.setattr(jacobian, "pixel_scene", lambda e, index, *more: drawn.append(index) or real(e, index, *more))
    values, found = Simulator(experiment).jacobian(["misset"], torch.tensor([[1, 3, 4], [1, 0, 0]]))
    assert set(drawn) == {1}
    assert torch.equal(values, whole[0][[320 + 64, 320]])
    assert torch.equal(found, whole[1][[320 + 64, 320]])


def test_amplitudes_are_a_quantity_like_any_other(small_scene):
    table = StructureFactors(100.0 + torch.rand(5, 5, 5, dtype=torch.float64), (-2, -2, -2), torch.tensor(7.0))
    table = StructureFactors(table.values, table.origin, torch.tensor(7.0, dtype=torch.float64))
    experiment = small_scene()
    experiment = experiment.replace(crystal=experiment.crystal.replace(structure_factors=table))
    values, found = Simulator(experiment).jacobian(["amplitudes"])
    _, expected = Simulator(experiment, backend="reference").jacobian(["amplitudes"])
    assert found.shape == (320, 125)
    assert (found - expected).norm() <= 1e-9 * expected.norm()


def test_pixels_come_in_the_order_given_over_panels(small_scene):
    experiment = small_scene()
    near = experiment.detector.panel
    far = near.replace(distance=near.distance * 1.5)
    experiment = experiment.replace(detector=experiment.detector.replace(panels=(near, far)))
    whole_values, whole = Simulator(experiment).jacobian(["misset"])
    assert whole.shape == (640, 3)
    pixels = torch.tensor([[1, 3, 4], [0, 0, 0], [1, 12, 15], [0, 2, 7]])
    values, found = Simulator(experiment).jacobian(["misset"], pixels)
    chosen = pixels[:, 0] * 320 + pixels[:, 1] * 20 + pixels[:, 2]
    assert torch.equal(values, whole_values[chosen])
    assert torch.equal(found, whole[chosen])


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
def test_forward_mode_through_a_render(small_scene, physics):
    experiment = small_scene(physics)
    names = ["misset", "fluence", "water"]
    _, columns = Simulator(experiment).jacobian(names)

    def image(*values):
        changed = experiment
        for name, value in zip(names, values, strict=True):
            changed = QUANTITIES[name].put(changed, value)
        return Simulator(changed).run().values[0]

    at = tuple(QUANTITIES[name].take(experiment) for name in names)
    blocks = torch.func.jacfwd(image, argnums=(0, 1, 2))(*at)
    found = torch.cat([block.reshape(320, -1) for block in blocks], dim=1)
    assert (found - columns).norm() <= 1e-10 * columns.norm()
    along = tuple(torch.ones_like(value) for value in at)
    _, slope = torch.func.jvp(image, at, along)
    assert (slope - columns.sum(1)).norm() <= 1e-10 * slope.norm()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no quantity is named"),
        (["misset", "missset"], "missset: it is not a quantity"),
        (["misset", "misset"], "named twice"),
        (["detector_shift"], "no origins"),
        (["amplitudes"], "no table"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(small_scene, names, message):
    with pytest.raises(InputError, match=message):
        Simulator(small_scene()).jacobian(names)
