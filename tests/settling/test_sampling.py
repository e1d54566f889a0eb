"""Spindle, sub-pixels, region and mask (specs: sources 4; crystal 8, 9; intensity 1)."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from nanobrag_torch import Config, CrystalConfig, DetectorConfig, Experiment, PanelConfig, SamplingConfig, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.geometry.orientation import phi_angles

COMMON = "-cell 100 -default_F 1 -detpixels_x 20 -detpixels_y 16 -pixel 0.1 -distance 100 -lambda 1 -dump none.bin "


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse((COMMON + line).split()), physics)


# -- spindle


@pytest.mark.parametrize(
    ("line", "degrees"),
    [
        ("", [0.0]),
        ("-phi 5", [5.0]),
        ("-phi 5 -osc 2 -phisteps 4", [5.0, 5.5, 6.0, 6.5]),
        ("-osc 1", [0.0, 0.5]),
        ("-osc 0", [0.0, 0.0]),
        ("-phistep 0.3", [0.0, 0.3]),
        ("-osc 1 -phistep 0.4", [0.0, 0.4, 0.8]),
        ("-phisteps 4", [0.0, 0.25, 0.5, 0.75]),
        ("-phisteps 0", [0.0]),
        ("-osc 0 -phistep 0.1", [0.0]),
    ],
)
def test_phi_steps(line, degrees):
    scan = experiment(line).scan
    found = phi_angles(scan.start, scan.step, scan.steps)
    assert [math.degrees(x) for x in found.tolist()] == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("fields", "rate"),
    [
        ({"osc_deg": 2.0, "phi_steps": 4}, 1 / 4),
        ({"osc_deg": 2.0}, 1 / 2),
        ({"phi_step_deg": 0.3}, 1.0),
        ({"phi_step_deg": 0.3, "osc_deg": 2.0}, 1.0),
    ],
)
def test_the_step_keeps_the_graph_of_what_it_is_made_from(fields, rate):
    name = next(iter(fields))
    said = torch.tensor(fields[name], dtype=torch.float64, requires_grad=True)
    crystal = CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0)
    detector = DetectorConfig(pixels_f=4, pixels_s=4)
    plain = settle(Config(crystal=crystal, detector=detector, sampling=SamplingConfig(**fields))).scan
    scan = settle(Config(crystal=crystal, detector=detector, sampling=SamplingConfig(**{**fields, name: said}))).scan
    assert torch.equal(scan.step.detach(), plain.step)
    assert math.degrees(torch.autograd.grad(scan.step, said)[0].item()) == pytest.approx(rate)


# -- sub-pixels


@pytest.mark.parametrize(
    ("line", "recommended"),
    [
        # λ d/p = 1000 Å: ceil(3 · extent/1000)
        ("-N 1", 1),
        ("-N 3", 1),
        ("-N 4", 2),
        ("-Na 7", 3),
        ("-Nb 7 -Na 2", 3),
        ("-Nc 20", 6),
        ("-N 20 -lambda 2", 3),
        ("-N 20 -distance 300", 2),
        ("-N 20 -pixel 0.2", 12),
    ],
)
def test_automatic_oversampling(line, recommended):
    """specs: crystal 8."""
    for given in ("", " -oversample 0", " -oversample -3"):
        scene = experiment(line + given)
        assert scene.sampling.oversample == recommended
        assert f"auto-selected {recommended}-fold oversampling" in [note.text for note in scene.notes]


def test_the_advice_uses_the_final_distance():
    """With two-theta it is d cos 2θ (specs: geometry 9)."""
    assert experiment("-N 10 -distance 100").sampling.oversample == 3
    assert experiment("-N 10 -distance 100.4 -twotheta 10").sampling.oversample == 4


def test_too_few_sub_pixels_are_kept_with_a_warning_of_four_lines():
    scene = experiment("-N 20 -oversample 2")
    assert scene.sampling.oversample == 2
    (text,) = [note.text for note in scene.notes if note.stage == "oversample"]
    assert text.split("\n") == [
        "WARNING: maximum dimension of sample is 2000 A",
        "         but reciprocal pixel size is 1000 A",
        "         intensity may vary significantly across a pixel!",
        "         recommend -oversample 6 to work around this",
    ]


def test_enough_sub_pixels_say_nothing():
    assert not [note for note in experiment("-N 20 -oversample 6").notes if note.stage == "oversample"]


def test_factors_are_cached_unless_asked_for_and_per_term_in_the_exact_mode():
    """Deviations F, D64."""

    def switches(line, physics="nanobragg"):
        found = experiment(line, physics).sampling
        return found.per_term_thick, found.per_term_polar, found.per_term_omega

    assert switches("") == (False, False, False)
    assert switches("-oversample_thick") == (True, False, False)
    assert switches("-oversample_polar") == (False, True, False)
    assert switches("-oversample_omega") == (False, False, True)
    assert switches("", "exact") == (True, True, True)


# -- region and mask


@pytest.mark.parametrize(
    ("line", "roi"),
    [
        ("", (0, 20, 0, 16)),
        ("-roi 3 10 5 12", (3, 10, 5, 12)),
        ("-roi -1 -1 -1 -1", (0, 20, 0, 16)),
        ("-roi -5 7 2 -9", (0, 7, 2, 16)),
        ("-roi 3 999 5 999", (3, 999, 5, 999)),
    ],
)
def test_region(line, roi):
    """Bounds are not clipped: the report prints them as they are (specs: intensity 1; cli 8)."""
    assert experiment(line).sampling.roi == roi


@pytest.mark.parametrize("line", ["-roi 10 3 0 5", "-roi 0 5 10 3", "-roi 20 25 0 5", "-roi 0 5 16 20"])
def test_a_region_without_a_pixel_is_refused(line):
    """Deviation D57."""
    with pytest.raises(InputError, match="roi.*no pixel"):
        experiment(line)


def scene_with(mask, **detector) -> Config:
    return Config(
        crystal=CrystalConfig(cell_a=40.0, Na=2, Nb=2, Nc=2, default_F=1.0),
        detector=DetectorConfig(**{"pixels_f": 4, "pixels_s": 3, **detector}),
        sampling=SamplingConfig(mask=mask),
    )


def test_only_zero_or_not_matters_in_a_mask():
    mask = np.array([[0, 1, 2, 0], [65535, 0, -1, 1], [1, 1, 1, 1]])
    (found,) = settle(scene_with(mask)).sampling.masks
    assert np.array_equal(found, mask != 0)


def test_a_mask_of_another_size_is_refused():
    """Deviation D14."""
    with pytest.raises(InputError, match="3 x 4.*4 x 3"):
        settle(scene_with(np.ones((4, 3))))


def test_panels_take_a_mask_each_and_no_region():
    panels = tuple(
        PanelConfig((100.0, 5.0 * i, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 4 + i, 3, 0.5) for i in range(2)
    )
    masks = (np.ones((3, 4)), np.zeros((3, 5)))
    assert [m.sum() for m in settle(scene_with(masks, panels=panels)).sampling.masks] == [12, 0]
    with pytest.raises(InputError, match="mask"):
        settle(scene_with(masks[::-1], panels=panels))
    config = scene_with(None, panels=panels)
    with pytest.raises(InputError, match="roi"):
        settle(Config(config.crystal, detector=config.detector, sampling=SamplingConfig(roi=(0, 1, 0, 1))))
