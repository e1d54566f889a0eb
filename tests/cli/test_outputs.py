"""The files of a run."""

from __future__ import annotations

import json
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


@pytest.mark.golden
def test_files_of_the_golden_set(run: Any, golden_folder: Path) -> None:
    """Headers of every case; integer, grey and noise images where they are stored."""
    cases = json.loads((golden_folder / "cases.json").read_text())
    names = {"intimage": "intimage.img", "noise": "noiseimage.img"}
    wrong = []
    for case in cases:
        if case["verdict"] != "image" or case["group"] == "acceptance":
            continue
        words = [str(golden_folder / word) if word.startswith("inputs/") else word for word in case["args"]]
        outcome = run.words(words)
        lines = (outcome.folder / "intimage.img").read_bytes()[:1024].decode("latin-1").partition("}")[0].splitlines()
        ours = dict(line.rstrip(";").split("=", 1) for line in lines[1:])
        theirs = {k: v for k, v in case["header_values"].items() if k != "HEADER_BYTES"}
        assert list(ours)[1:-1] == list(theirs)
        wrong += [f"{case['id']} {k}: {ours[k]}, not {v}" for k, v in theirs.items() if ours[k] != v]
        with np.load(golden_folder / case["file"]) as stored:
            for array in set(stored.files) & set(names):
                differ = np.count_nonzero(counts(outcome.folder / names[array]) != stored[array].ravel())
                allowed = 0 if array == "noise" else stored[array].size // 1000
                wrong += [f"{case['id']} {array}: {differ} pixels differ"] if differ > allowed else []
            if "pgm" in stored.files:
                grey = np.frombuffer((outcome.folder / "image.pgm").read_bytes()[-stored["pgm"].size :], np.uint8)
                differ = np.count_nonzero(grey != stored["pgm"].ravel())
                wrong += [f"{case['id']} pgm: {differ} pixels differ"] if differ > grey.size // 1000 else []
    assert not wrong
