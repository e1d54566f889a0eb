"""The files of a run; tests/test_golden.py compares their content with the C program's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.cli.outputs import output_names
from nanobrag_torch.cli.parse import parse


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", ["floatimage.bin", "intimage.img", "image.pgm", "noiseimage.img"]),
        ("-nopgm -nonoise", ["floatimage.bin", "intimage.img"]),
        ("-floatfile a -intfile b -pgmfile c -noisefile d -png e", ["a", "b", "c", "d", "e"]),
    ],
)
def test_names_in_order(line: str, names: list[str]) -> None:
    assert list(output_names(parse(line.split()).output).values()) == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-floatfile same -intfile same", "-intfile: same is the file of -floatfile too"),
        ("-hkl P1.hkl -floatfile P1.hkl", "-floatfile: P1.hkl is the file of -hkl too"),
        ("-mat A.mat -png ./A.mat", "-png: ./A.mat is the file of -mat too"),
        ("-sourcefile sources.txt -intfile sources.txt", "-intfile: sources.txt is the file of -sourcefile too"),
    ],
)
def test_one_file_for_two_purposes(words: str, message: str, run: Any) -> None:
    outcome = run.small(words)
    assert outcome.status == 9
    assert outcome.err.startswith(f"nanobrag: {message}")


def counts(path: Path) -> np.ndarray:
    content = path.read_bytes()
    size = int(re.search(rb"HEADER_BYTES=(\d+)", content)[1])  # type: ignore[index]
    return np.frombuffer(content, np.uint16, offset=size).astype(int)


def test_scale_and_adc(run: Any) -> None:
    outcome = run.small("-scale 2 -adc 10 -roi 2 5 3 11")
    image = outcome.image(12, 12)
    expected = np.zeros((12, 12))
    expected[3:, 2:6] = np.floor((image * 2.0 + 10.5)[3:, 2:6])
    assert (counts(outcome.folder / "intimage.img") == expected.ravel()).all()


def test_adc_of_zero_is_kept(run: Any) -> None:
    outcome = run.small("-adc 0 -scale 1e-30")
    assert counts(outcome.folder / "intimage.img").max() == 0
    assert "ADC_OFFSET=0;" in (outcome.folder / "intimage.img").read_bytes()[:512].decode()


def test_noise_follows_its_seed(run: Any) -> None:
    one, other, again = (run.small(f"-noisefile n.img -seed {seed}") for seed in (5, 6, 5))
    assert one.files["n.img"] == again.files["n.img"] != other.files["n.img"]


def test_noise_does_not_touch_the_float_image(run: Any) -> None:
    assert run.small("-noisefile n.img").files["floatimage.bin"] == run.small().files["floatimage.bin"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ("-png_rings", "-png_rings: there is no picture to draw in; give -png FILE too"),
        ("-png p.png -png_rings -curved_det", "the detector is curved, rings need one flat panel"),
    ],
)
def test_rings_that_would_not_appear_are_refused(run, flags: str, complaint: str) -> None:  # type: ignore[no-untyped-def]
    done = run.small(flags)
    assert done.status == 9
    assert complaint in done.err


def test_every_file_that_a_run_writes_is_in_every_list():
    """A new output has to be numbered in a series, and must not be written again by the image's own scene."""
    from dataclasses import fields

    from nanobrag_torch.cli.frames import FILES
    from nanobrag_torch.cli.outputs import WRITTEN
    from nanobrag_torch.config import OutputConfig
    from nanobrag_torch.io.made import UNSAVED, WRITTEN_BY_A_RUN

    names = {field.name for field in fields(OutputConfig) if field.name.endswith("_file")}
    read = {"header_file", "experiment_file", "scene_file"}
    assert names - read == set(WRITTEN)
    assert set(FILES) == set(WRITTEN) - {"save_scene_file"}
    assert set(WRITTEN_BY_A_RUN) == set(FILES)
    assert names <= set(WRITTEN_BY_A_RUN) | set(UNSAVED)
