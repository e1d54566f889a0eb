from __future__ import annotations

import json

import numpy as np
import pytest

from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.golden import expected_numbers, header_problems, load_cases, run_case


def entry(**changes):
    header = {"HEADER_BYTES": "512", "DISTANCE": "90", "DIALS_ORIGIN": "-1,2,3", "BEAMLINE": "fake"}
    facts = {"id": "one", "args": ["-mat", "inputs/a.mat", "-N", "3"], "verdict": "image", "fpixels": 6, "spixels": 4}
    return facts | {"stats": {"mean": 1.0, "kahn_factor": None}, "header_values": header} | changes


@pytest.fixture
def make_case(tmp_path):
    def make(**changes):
        (tmp_path / "cases.json").write_text(json.dumps([entry(**changes)]))
        return load_cases(tmp_path)[0]

    return make


def test_a_folder_without_cases_is_refused(tmp_path):
    with pytest.raises(ParityError, match=r"cases\.json"):
        load_cases(tmp_path)


def test_input_files_are_found_in_the_folder(make_case, tmp_path):
    assert make_case().command() == ["-mat", str(tmp_path / "inputs" / "a.mat"), "-N", "3"]


def test_the_stored_part_of_a_frame(make_case):
    image = np.arange(24).reshape(4, 6)
    assert make_case().crop(image).shape == (4, 6)
    assert make_case(crop=[1, 3, 2, 5]).crop(image).tolist() == image[1:3, 2:5].tolist()


def test_arrays_of_a_case(make_case, tmp_path):
    case = make_case(verdict="image_corrected")
    assert case.stored() == ()
    (tmp_path / "images").mkdir()
    np.savez(tmp_path / "images" / "one.npz", image_corrected=np.ones((4, 6)), pgm=np.zeros(3))
    assert case.stored() == ("image_corrected", "pgm")
    assert case.expected().sum() == 24


HEADER = "{\nHEADER_BYTES=512;\nDISTANCE=90;\nDIALS_ORIGIN=-1,2,3\nBEAMLINE=fake;\nADC_OFFSET=40;\n}\f"


def test_a_header_may_have_one_line_more(make_case):
    assert header_problems(make_case(), HEADER) == []
    assert len(header_problems(make_case(), HEADER.replace("90", "91"))) == 1
    assert header_problems(make_case(), HEADER.replace("BEAMLINE=fake;\n", "")) == ["3 header lines, expected 4"]


def test_a_header_that_was_cut_is_compared_as_far_as_it_goes(make_case):
    cut = entry()["header_values"] | {"BEAMLINE": "fa"}
    long = HEADER.replace("512", "1024")
    assert header_problems(make_case(header_values=cut), long) == []
    assert header_problems(make_case(header_values=cut), long.replace("=90", "=91")) != []
    assert header_problems(make_case(header_values=cut), HEADER) != []


def test_expected_numbers_leave_out_what_cannot_be_printed(make_case):
    assert expected_numbers(make_case()) == {"mean": 1.0}
    assert expected_numbers(make_case(verdict="image_corrected")) == {}


def test_a_run_leaves_its_files_in_the_folder(copied_cases, tmp_path):
    case = copied_cases["out_int_auto"]
    run = run_case(case, tmp_path)
    stored = case.arrays()
    assert run.status == 0
    assert np.array_equal(run.image(), stored["image"])
    assert np.array_equal(run.counts(), stored["intimage"])
    assert np.array_equal(run.grey()[1], stored["pgm"])
    assert "mean=" in run.output


def test_a_refused_run_tells_why(copied_cases, tmp_path):
    run = run_case(copied_cases["out_int_auto"], tmp_path, "float64", "-distance", "-1")
    assert run.status == 9
    assert "-distance" in run.errors
