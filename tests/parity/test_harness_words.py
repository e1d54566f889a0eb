"""What users say to the harness: limits, regions, threads, programs of their own."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch import __version__
from nanobrag_torch.parity import compare, matrix, trace
from nanobrag_torch.parity.metrics import measure
from nanobrag_torch.parity.programs import REFERENCE, checkout_commit, our_command
from nanobrag_torch.parity.sides import thread_count
from nanobrag_torch.parity.verdict import DISAGREE, judge, limits
from nanobrag_torch.parity.words import region_of

ROOT = Path(__file__).resolve().parents[2]


def said(**values):
    names = ("threshold", "sum_tolerance", "l2_tolerance", "dtype")
    return argparse.Namespace(**{**dict.fromkeys(names), **values})


def test_a_shape_without_its_scale_is_no_agreement():
    image = np.random.default_rng(1).random((20, 30))
    verdict = judge(said(threshold=0.99), measure(100.0 * image, image), [])
    assert verdict.status == DISAGREE
    assert any("sum ratio 100" in reason for reason in verdict.reasons)
    assert any("relative L2 99" in reason for reason in verdict.reasons)
    assert judge(said(threshold=0.99), measure(1.001 * image, image), []).status == 0


def test_a_scale_without_its_shape_is_no_agreement():
    image = np.random.default_rng(1).random((20, 30))
    assert judge(said(sum_tolerance=1e-6), measure(image[::-1], image), []).status == DISAGREE


def test_limits_that_go_with_what_was_said():
    assert limits(said(threshold=0.98)) == (0.98, 0.01, pytest.approx(math.sqrt(0.04) + 0.01))
    assert limits(said(threshold=0.98, sum_tolerance=0.5, l2_tolerance=0.3)) == (0.98, 0.5, 0.3)


def test_regions():
    assert region_of(["1792", "2304", "0", "9"]) == (1792, 2304, 0, 9)
    assert region_of(["1792:2304", "0:10"]) == (1792, 2303, 0, 9)
    for words in (["1", "2", "3"], ["5:5", "0:2"], ["a:b", "0:2"], ["3", "1", "0", "2"]):
        with pytest.raises(ValueError, match="XMIN XMAX YMIN YMAX"):
            region_of(words)


def test_one_number_of_threads_for_both_sides():
    assert thread_count({"OMP_NUM_THREADS": "1"}) == 1
    assert thread_count({"OMP_NUM_THREADS": "3,2"}) == 3
    assert thread_count({}) == thread_count({"OMP_NUM_THREADS": "many"}) == len(os.sched_getaffinity(0))


def test_a_program_beside_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert our_command("./script -x") == (str(tmp_path / "script"), "-x")


def test_the_commit_of_this_checkout():
    commit = checkout_commit()
    assert commit is None or len(commit.rstrip("+")) == 40


def test_the_name_that_scripts_call():
    if not (ROOT / REFERENCE).exists():
        pytest.skip("the C reference is not built")
    assert (ROOT / "golden_suite_generator/nanoBragg").resolve() == (ROOT / REFERENCE).resolve()


@pytest.mark.parametrize("program", [compare, matrix, trace])
def test_every_program_tells_its_version(program, capsys):
    try:
        status = program.main(["--version"])
    except SystemExit as end:
        status = end.code
    assert not status
    assert capsys.readouterr().out == f"nanobrag_torch {__version__}\n"
