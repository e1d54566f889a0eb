from __future__ import annotations

import math
import re
import warnings

import pytest

from nanobrag_torch import Experiment, PanelConfig, Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.config import Config, CrystalConfig, DetectorConfig
from nanobrag_torch.errors import NanobragWarning
from nanobrag_torch.pipeline.trace import Tap, trace_pixel

LINE = (
    "-default_F 100 -cell 40 45 50 80 85 95 -N 4 -detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 "
    "-misset 10 20 30 -mosaic 1 -mosaic_domains 3 -osc 1 -phisteps 2 -hdivrange 5 -hdivsteps 3 -oversample 2 "
    "-detector_thick 100 -detector_abs 300 -twotheta 5 -water 3 -dump none.bin "
)


def experiment(line: str, physics: str = "nanobragg") -> Experiment:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        return settle(parse(line.split()), physics)


def named(taps: list[Tap]) -> dict[str, tuple[float, ...]]:
    found = {f"{tap.place}.{tap.name}": tap.values for tap in taps}
    assert len(found) == len(taps), "a name is given twice"
    return found


SWITCHES = ["", "-oversample_omega", "-oversample_polar", "-oversample_thick", "-dmin 18", "-nopolar", "-curved_det"]


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
@pytest.mark.parametrize("added", [*SWITCHES, "-round_xtal", "-pivot sample -fdet_vector 0 0 1"])
def test_the_last_value_is_the_pixel_of_the_image(added, physics):
    scene = experiment(LINE + added, physics)
    whole = Simulator(scene, backend="reference").run().array
    for slow, fast in ((0, 0), (7, 12)):
        (value,) = named(trace_pixel(scene, slow, fast))["pixel.I_pixel_final"]
        assert value == float(whole[slow, fast])


def test_contributions_add_up_to_the_pixel():
    """With every term traced: background + Σ I_contribution, times the cached factors and the scale."""
    scene = experiment(LINE)
    found = named(trace_pixel(scene, 7, 12, every_term=True))
    steps = {name: v[0] for name, v in found.items() if re.match(r"step\[.*I_contribution", name)}
    assert len(steps) == 2 * 4 * 3 * 2 * 3
    background = 2.57**2 * found["pixel.r_e_sqr"][0] * found["pixel.fluence_photons_per_m2"][0]
    background *= 3e-6**3 * 1e6 * 6.02214179e23 / 18.0
    accumulated = found["pixel.I_before_scaling"][0]
    assert accumulated == pytest.approx(background + sum(steps.values()), rel=1e-12)
    scale = found["pixel.r_e_sqr"][0] * found["pixel.fluence_photons_per_m2"][0] / found["pixel.steps"][0]
    factors = math.prod(found[f"pixel.{name}"][0] for name in ("capture_fraction", "polar", "omega_pixel"))
    assert found["pixel.I_pixel_final"][0] == pytest.approx(scale * accumulated * factors, rel=1e-12)


def test_a_short_trace_has_the_first_and_third_source_and_the_first_domain():
    places = {tap.place for tap in trace_pixel(experiment(LINE), 7, 12)}
    assert {place.split(",")[3].rstrip("]") for place in places if place.startswith("term")} == {"0", "2"}
    assert {place[:-1].split(",")[5] for place in places if place.startswith("step")} == {"0"}


def test_quantities_fit_together():
    found = named(trace_pixel(experiment(LINE), 7, 12))
    at = "term[0,0,0,0]"
    position, R = found[f"{at}.pixel_pos_meters"], found[f"{at}.R_distance_meters"][0]
    assert math.hypot(*position) == pytest.approx(R)
    assert found[f"{at}.diffracted_vec"] == pytest.approx([x / R for x in position])
    pair = zip(found[f"{at}.diffracted_vec"], found[f"{at}.incident_vec"], strict=True)
    expected = [(d - i) / found[f"{at}.lambda_meters"][0] for d, i in pair]
    assert found[f"{at}.scattering_vec_per_m"] == pytest.approx(expected, rel=1e-9)
    h = [
        sum(x * y for x, y in zip(found[f"{at}.{name}_angstroms"], found[f"{at}.scattering_vec_per_m"], strict=True))
        for name in "abc"
    ]
    assert [x * 1e-10 for x in h] == pytest.approx(found[f"{at}.hkl_frac"], rel=1e-12)
    factors = math.prod(found[f"{at}.F_latt_{name}"][0] for name in "abc")
    assert abs(factors) == pytest.approx(abs(found[f"{at}.F_latt"][0]))
    assert found[f"{at}.I_contribution"][0] == pytest.approx(found[f"{at}.F_latt"][0] ** 2 * 100.0**2)


def test_a_line_has_its_tag_and_seventeen_digits():
    tap = Tap("term[0,0,0,0]", "polar", (1 / 3, -2.0), "intensity 5")
    assert tap.line() == "TRACE_PY: term[0,0,0,0].polar 0.33333333333333331 -2"
    assert tap.line("TRACE_C").startswith("TRACE_C: ")


def test_every_tap_names_its_clause():
    for tap in trace_pixel(experiment(LINE), 7, 12):
        assert re.match(r"(geometry|crystal|sources|intensity|structure_factors|README)[ ,]", tap.spec), tap


@pytest.mark.parametrize(("slow", "fast"), [(16, 0), (0, 20), (-1, 0), (0, -1)])
def test_pixels_outside_are_refused(slow, fast):
    with pytest.raises(ValueError, match="outside panel 0"):
        trace_pixel(experiment(LINE), slow, fast)


def test_a_pixel_of_another_panel():
    panels = tuple(
        PanelConfig((60.0, 3.0, -2.0 + 4.0 * i), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), 8, 8, 0.4) for i in range(2)
    )
    crystal = CrystalConfig(cell_a=40.0, Na=3, Nb=3, Nc=3, default_F=10.0)
    scene = settle(Config(crystal=crystal, detector=DetectorConfig(panels=panels)))
    image = Simulator(scene, backend="reference").run()
    assert named(trace_pixel(scene, 2, 3, panel=1))["pixel.I_pixel_final"][0] == float(image.panels[1][2, 3])
