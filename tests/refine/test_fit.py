"""The loop: noisy images of small crystals give back what made them."""

from __future__ import annotations

from functools import partial

import numpy as np
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
    Simulator,
    settle,
)
from nanobrag_torch.errors import InputError
from nanobrag_torch.refine import Observation, Parameters, correlation, fit, poisson
from nanobrag_torch.refine.fit import expected_values
from nanobrag_torch.units import degrees_from_radians

BACKGROUND = 0.5
LOSS = partial(poisson, background=BACKGROUND)


def scene(misset: tuple[float, float, float], distance: float = 60.0, cell: float = 40.0) -> Experiment:
    """A crystal of 6 x 6 x 6 cells whose spots cover a detector of 64 x 64 pixels."""
    return settle(
        Config(
            crystal=CrystalConfig(
                cell_a=cell, cell_b=45.0, cell_c=50.0, Na=6, Nb=6, Nc=6, default_F=100.0, misset_deg=misset
            ),
            beam=BeamConfig(wavelength_A=1.0, fluence=3e26),
            detector=DetectorConfig(distance_mm=distance, pixels_f=64, pixels_s=64, pixel_mm=1.0),
            sampling=SamplingConfig(oversample=1),
        )
    )


def photographed(experiment: Experiment) -> Observation:
    """What a counting detector sees, with background."""
    generator = torch.Generator().manual_seed(7)
    return Observation.of(torch.poisson(Simulator(experiment).run().array + BACKGROUND, generator=generator))


TRUE = (20.3, -10.4, 5.2)


@pytest.fixture(scope="module")
def seen() -> Observation:
    return photographed(scene(TRUE))


@pytest.mark.parametrize(("method", "options"), [("lbfgs", {}), ("adam", {"steps": 50, "batch": 2500})])
def test_a_misset_angle_is_found(seen: Observation, method: str, options: dict[str, int]) -> None:
    parameters = Parameters(scene((20.0, -10.0, 5.0)), ["misset"])
    result = fit(parameters, seen, LOSS, method=method, **options)
    found = degrees_from_radians(result.experiment.crystal.misset)
    assert (found - torch.tensor(TRUE)).abs().max() < 0.01
    assert result.losses[-1] < result.losses[0]
    assert len(result.path) <= options.get("steps", 50)
    assert result.converged is (method == "lbfgs")


def test_misset_distance_and_cell_together(seen: Observation) -> None:
    start = scene((20.1, -10.2, 5.1), distance=60.2, cell=40.1)
    parameters = Parameters(start, ["misset", "distance", "cell_lengths"])
    result = fit(parameters, seen, LOSS, steps=60).experiment
    assert (degrees_from_radians(result.crystal.misset) - torch.tensor(TRUE)).abs().max() < 0.02
    assert abs(float(result.detector.panel.distance) - 0.06) < 5e-5
    assert result.crystal.cell is not None
    assert (result.crystal.cell[:3] - torch.tensor([40.0, 45.0, 50.0])).abs().max() < 0.05


def test_a_start_of_unknown_scale() -> None:
    seen = Observation.of(7.0 * Simulator(scene(TRUE)).run().array + 3.0)
    result = fit(Parameters(scene((20.0, -10.0, 5.0)), ["misset"]), seen, correlation)
    assert (degrees_from_radians(result.experiment.crystal.misset) - torch.tensor(TRUE)).abs().max() < 1e-3


def test_only_chosen_pixels_count_panel_by_panel() -> None:
    panels = tuple(PanelConfig((60.0, y, -4.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 20, 10, 0.4) for y in (4.0, -0.5))
    crystal = CrystalConfig(cell_a=40.0, Na=3, Nb=3, Nc=3, default_F=1.0)
    experiment = settle(Config(crystal=crystal, detector=DetectorConfig(panels=panels)))
    images = [panel.numpy() for panel in Simulator(experiment).run().panels]
    keep = [np.zeros((10, 20), dtype=bool), np.ones((10, 20), dtype=bool)]
    keep[0][3, 5] = True
    seen = Observation.of(images, keep=keep, offset=1.0)
    assert len(seen) == 201
    assert seen.pixels[0].tolist() == [0, 3, 5]
    torch.testing.assert_close(seen.values + 1.0, expected_values(experiment, seen.pixels))
    few = seen.subset(torch.tensor([200, 0, 7]))
    assert few.pixels[:, 0].tolist() == [0, 1, 1]
    bad = images[0].copy()
    bad[0, 0] = np.nan
    assert len(Observation.of(bad)) == 199


def test_refusals(seen: Observation) -> None:
    parameters = Parameters(scene((20.0, -10.0, 5.0)), ["misset"])
    with pytest.raises(InputError, match="lbfgs, adam"):
        fit(parameters, seen, LOSS, method="newton")
    with pytest.raises(InputError, match="needs all pixels"):
        fit(parameters, seen, LOSS, batch=10)
    with pytest.raises(InputError, match="evaluation 0; give poisson a background"):
        fit(parameters, seen, lambda expected, observed: expected.sum() / 0.0)
    with pytest.raises(InputError, match="not that of the image"):
        Observation.of(np.ones((3, 4)), keep=np.ones((4, 3)))
    with pytest.raises(InputError, match="no pixel is left"):
        Observation.of(np.ones((3, 4)), keep=np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"give \[slow, fast\]"):
        Observation.of(np.ones(3))
