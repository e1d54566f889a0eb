"""Every golden case through the command line, as its verdict says, within the bounds of `parity.agreement`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.legacy_random import Stream
from nanobrag_torch.parity.agreement import image_agreement, single_problems, sum_agreement
from nanobrag_torch.parity.golden import Case, experiment_of, load_cases, run_case
from nanobrag_torch.parity.golden_table import counts, texts
from nanobrag_torch.parity.traces import BOUND, trace_deviations
from nanobrag_torch.physics.noise import noise_image
from nanobrag_torch.pipeline.trace import trace_pixel


@pytest.mark.verdicts("image", "image_corrected", "corrected_sum")
def test_double_precision(golden_case: Case, tmp_path: Path) -> None:
    run = run_case(golden_case, tmp_path)
    assert run.status == 0, run.errors
    problems = texts(golden_case, run) + counts(golden_case, run)
    image = run.image()
    if golden_case.verdict == "corrected_sum":
        corrected = golden_case.facts["corrected"]
        assert abs(sum_agreement(float(image.sum(dtype=float)), corrected["sum"])) <= 1e-7
        assert float(image.max()) == pytest.approx(corrected["max"], rel=1e-6)
    else:
        agreement = image_agreement(golden_case.crop(image), golden_case.expected(), golden_case.bounds)
        problems += agreement.problems()
    assert not problems, "\n".join(problems)


@pytest.mark.verdicts("image", "image_corrected")
def test_single_precision(golden_case: Case, tmp_path: Path) -> None:
    run = run_case(golden_case, tmp_path, "float32")
    assert run.status == 0, run.errors
    problems = single_problems(golden_case.crop(run.image()), golden_case.expected())
    assert not problems, "\n".join(problems)


@pytest.mark.having("traces")
def test_traces(golden_case: Case) -> None:
    experiment = experiment_of(golden_case)
    layers, oversample = experiment.detector.panels[0].layers, experiment.sampling.oversample
    for trace in golden_case.traces():
        taps = trace_pixel(experiment, trace["slow"], trace["fast"])
        deviations = trace_deviations(trace, taps, layers, oversample)
        assert [d for d in deviations if not d.error <= BOUND] == []


@pytest.mark.having("noise")
def test_noise_of_the_stored_image(golden_case: Case) -> None:
    """Fed with the stored float image, the generator draws the stored counts, byte for byte."""
    experiment = experiment_of(golden_case)
    said = experiment.facts["config"].output
    stored, facts = golden_case.arrays(), golden_case.facts["stats"]
    noise = noise_image(
        stored["image"],
        experiment.facts["generator"].copy(),
        Stream.from_seed(said.noise_seed),
        adc=40.0 if said.adc is None else said.adc,
        roi=experiment.sampling.roi,
    )
    assert np.array_equal(noise.counts, stored["noise"])
    assert f"{noise.photons:.0f}" == str(facts["noise_photons"])
    assert noise.overloads == facts["noise_overloads"]


@pytest.mark.verdicts("none")
def test_drawn_differently_on_purpose(golden_case: Case, tmp_path: Path) -> None:
    run = run_case(golden_case, tmp_path)
    assert run.status == 0, run.errors
    image = golden_case.crop(run.image())
    assert np.isfinite(image).all()
    assert not np.array_equal(image, golden_case.arrays()["image"])


def test_thick_switch_without_a_sensor_changes_nothing(copied_cases: dict[str, Case], tmp_path: Path) -> None:
    """specs: deviations D08."""
    case = copied_cases["defect_oversample_thick_no_sensor"]
    plain = replace(case, args=tuple(word for word in case.args if word != "-oversample_thick"))
    images = [run_case(c, _folder(tmp_path, name)).image() for c, name in ((case, "a"), (plain, "b"))]
    assert images[0].any()
    assert np.array_equal(*images)


@pytest.mark.parametrize("name", ["defect_interp_out_of_range", "defect_interp_late"])
def test_interpolation_goes_on_beyond_a_sample_out_of_range(
    copied_cases: dict[str, Case], tmp_path: Path, name: str
) -> None:
    """specs: deviations D03."""
    case = copied_cases[name]
    image = run_case(case, _folder(tmp_path, "a")).image()
    nearest = run_case(replace(case, args=(*case.args, "-nointerpolate")), _folder(tmp_path, "b")).image()
    switched_off = case.arrays()["image"]
    assert (image != nearest).sum() > (switched_off != nearest).sum()


def test_seed_behind_the_word_random_is_a_seed(copied_cases: dict[str, Case], tmp_path: Path) -> None:
    """specs: deviations D04: the same orientation as with the seed first."""
    case = copied_cases["xtal_misset_seed_after"]
    words = list(case.args)
    at = words.index("-misset_seed")
    first = replace(case, args=tuple(words[at : at + 2] + words[:at] + words[at + 2 :]))
    images = [run_case(c, _folder(tmp_path, name)).image() for c, name in ((case, "a"), (first, "b"))]
    assert np.array_equal(*images)


def test_full_set_is_at_hand(golden_folder: Path) -> None:
    """Skips, and so says, where only the copied part is compared."""
    assert len(load_cases(golden_folder)) > 200


def test_copied_cases_are_those_of_the_full_set(golden_folder: Path, copied_cases: dict[str, Case]) -> None:
    full = {case.id: case for case in load_cases(golden_folder)}
    for name, case in copied_cases.items():
        assert (case.args, case.verdict) == (full[name].args, full[name].verdict)
        stored = full[name].arrays()
        assert all(np.array_equal(array, stored[key]) for key, array in case.arrays().items())


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name
