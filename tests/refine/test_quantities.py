"""Every refinable quantity: put back what was taken, and the image feels it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from nanobrag_torch import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    Experiment,
    PanelConfig,
    SamplingConfig,
    settle,
)
from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels.structure_factors import StructureFactors
from nanobrag_torch.models import Panel
from nanobrag_torch.refine import QUANTITIES, Parameters
from nanobrag_torch.refine.fit import expected_values

PIXELS = torch.cartesian_prod(torch.zeros(1, dtype=torch.int64), torch.arange(3, 9), torch.arange(2, 10))


ON_PANELS = ("detector_shift", "detector_turn", "panel_shifts", "panel_turns")


def scene(panels: bool = False, **crystal: object) -> Experiment:
    """A small crystal with everything in play, on a small detector."""
    amplitudes = torch.rand(9, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    table = StructureFactors(10.0 + amplitudes, (-4, -4, -4), torch.tensor(5.0, dtype=torch.float64))
    said = dict.fromkeys(("Na", "Nb", "Nc"), 3) | dict(
        cell_a=40.0, cell_b=45.0, cell_c=50.0, misset_deg=(5.0, 10.0, 15.0), shape="gauss", water_um=0.02,
        mosaic_spread_deg=1.0, mosaic_domains=3, structure_factors=table, interpolate=False,
    )  # fmt: skip
    placed = PanelConfig((60.0, 2.0, -2.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 12, 12, 0.4)
    swung = DetectorConfig(distance_mm=60.0, pixels_f=12, pixels_s=12, pixel_mm=0.4, roty_deg=1.0, twotheta_deg=3.0)
    return settle(
        Config(
            crystal=CrystalConfig(**(said | crystal)),
            beam=BeamConfig(wavelength_A=1.0, polarization_factor=0.5),
            detector=DetectorConfig(panels=(placed,)) if panels else swung,
            sampling=SamplingConfig(oversample=1, phi_deg=1.0, osc_deg=1.0, phi_steps=2),
        )
    )


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_stays_put_and_can_move(name: str) -> None:
    start = scene(panels=name in ON_PANELS)
    if name == "mosaic_spreads":
        start = scene(mosaic_spread_deg=None, mosaic_law="gauss", mosaic_abc_deg=(1.0, 0.7, 0.4))
    parameters = Parameters(start, [name])
    assert parameters.table().startswith(name)
    still = expected_values(parameters(), PIXELS)
    torch.testing.assert_close(still, expected_values(start, PIXELS), rtol=1e-12, atol=0)
    weights = torch.linspace(-1.0, 1.0, len(still), dtype=torch.float64)
    (still * weights).sum().backward()
    slope = parameters.get_parameter(name).grad
    assert slope is not None
    assert torch.isfinite(slope).all()
    assert slope.abs().max() > 0
    step = 1e-5 * torch.ones_like(slope)
    with torch.no_grad():
        parameters.get_parameter(name).add_(step)
        up = (expected_values(parameters(), PIXELS) * weights).sum()
        parameters.get_parameter(name).sub_(2 * step)
        down = (expected_values(parameters(), PIXELS) * weights).sum()
    torch.testing.assert_close((slope * step).sum(), (up - down) / 2, rtol=1e-4, atol=0)


def test_panels_of_a_group_move_as_one_body() -> None:
    """Two panels of one group keep their distances and angles; a third stays."""
    one = PanelConfig((60.0, 2.0, -2.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 12, 12, 0.4)
    others = (replace(one, origin_mm=(60.0, 8.0, -2.0)), replace(one, origin_mm=(60.0, 14.0, -2.0)))
    start = settle(
        Config(
            crystal=CrystalConfig(cell_a=40.0, default_F=1.0),
            beam=BeamConfig(wavelength_A=1.0),
            detector=DetectorConfig(panels=(one, *others)),
        )
    )
    start = start.replace(detector=start.detector.replace(groups=(0, 0, 1)))
    for name in ("panel_shifts", "panel_turns"):
        value = QUANTITIES[name].take(start)
        assert value.shape == (2, 3)
        moved = QUANTITIES[name].put(start, value + torch.tensor([[1e-3, 2e-3, -3e-3], [0.0, 0.0, 0.0]]).double())
        before, after = start.detector.panels, moved.detector.panels

        def corners(panels: tuple[Panel, ...], index: int) -> torch.Tensor:
            panel = panels[index]
            assert panel.origin is not None
            return torch.stack([panel.origin, panel.origin + panel.fast, panel.origin + panel.slow])

        body = [torch.cat([corners(p, 0), corners(p, 1)]) for p in (before, after)]
        assert (body[0] - body[1]).abs().max() > 1e-4
        torch.testing.assert_close(torch.cdist(body[0], body[0]), torch.cdist(body[1], body[1]))
        torch.testing.assert_close(corners(before, 2), corners(after, 2))


def test_b_is_the_fall_of_amplitudes_with_resolution() -> None:
    start = scene()
    table = QUANTITIES["B"].put(start, torch.tensor(7.0).double()).crystal.structure_factors
    before = start.crystal.structure_factors
    assert table.values is not None
    assert before.values is not None
    # (2, -1, 3) of 40 x 45 x 50 Å
    square = (2 / 40) ** 2 + (1 / 45) ** 2 + (3 / 50) ** 2
    place = 2 + 4, -1 + 4, 3 + 4
    assert float(table.values[place] / before.values[place]) == pytest.approx(math.exp(-7.0 * square / 4.0))


@pytest.mark.parametrize("convention", ["MOSFLM", "XDS"])
def test_the_beam_centre_is_the_one_in_force(convention: str) -> None:
    said = DetectorConfig(distance_mm=60.0, pixels_f=12, pixels_s=12, convention=convention)
    start = settle(Config(crystal=CrystalConfig(cell_a=40.0, default_F=1.0), detector=said))
    moved = Parameters(start, ["beam_centre"])
    with torch.no_grad():
        moved.beam_centre.add_(1.0)
    before, after = start.detector.panel, moved().detector.panel
    changed = after.near_point if convention == "XDS" else after.beam_centre
    same = after.beam_centre if convention == "XDS" else after.near_point
    assert not torch.equal(changed, before.near_point if convention == "XDS" else before.beam_centre)
    assert torch.equal(same, before.beam_centre if convention == "XDS" else before.near_point)


def test_what_cannot_be_refined_says_why() -> None:
    matrix = torch.eye(3, dtype=torch.float64) / 40.0
    alone = scene(cell_a=None, cell_b=None, cell_c=None, orientation_matrix=matrix)
    with pytest.raises(InputError, match="give its cell"):
        Parameters(alone, ["cell_lengths"])
    with pytest.raises(InputError, match="angles come from the orientation matrix"):
        Parameters(scene(orientation_matrix=matrix), ["cell_angles"])
    with pytest.raises(InputError, match="refine detector_shift"):
        Parameters(scene(panels=True), ["distance"])
    with pytest.raises(InputError, match="refine distance"):
        Parameters(scene(), ["detector_shift"])
    with pytest.raises(InputError, match="only a default amplitude"):
        Parameters(scene(structure_factors=StructureFactors.constant(3.0)), ["amplitudes"])


def test_a_table_in_single_precision_is_read_as_what_it_is() -> None:
    single = StructureFactors(torch.full((9, 9, 9), 10.0), (-4, -4, -4), torch.tensor(5.0))
    double = StructureFactors(torch.full((9, 9, 9), 10.0).double(), (-4, -4, -4), torch.tensor(5.0).double())
    images = [expected_values(scene(structure_factors=table), PIXELS) for table in (single, double)]
    torch.testing.assert_close(*images, rtol=1e-12, atol=0)
