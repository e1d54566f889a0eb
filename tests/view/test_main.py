"""The command `nb-view`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.io.expt import write_expt
from nanobrag_torch.io.raw import write_float_image
from nanobrag_torch.view.main import main, scene_of_words

WORDS = "-cell 40 45 50 -default_F 10 -detpixels_x 24 -detpixels_y 16 -pixel 2 -distance 60 -lambda 1.2"


def test_a_page_is_written(
    float_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(float_file.parent)
    assert main(["a.bin", "a.img"]) == 0
    assert capsys.readouterr().out == "writing a.html\n"
    text = Path("a.html").read_text(encoding="utf-8")
    assert 'id="data1"' in text
    assert "<title>a.bin, a.img</title>" in text


def test_the_crystal_comes_from_a_command_line_or_from_dials(tmp_path: Path) -> None:
    write_float_image(tmp_path / "f.bin", np.ones((16, 24), np.float32))
    page = tmp_path / "p.html"
    assert main([str(tmp_path / "f.bin"), "-o", str(page), "--", *WORDS.split()]) == 0
    assert '"cell": [[' in page.read_text(encoding="utf-8")
    write_expt(tmp_path / "x.expt", scene_of_words(WORDS.split()))
    assert main([str(tmp_path / "f.bin"), "-o", str(page), "--expt", str(tmp_path / "x.expt")]) == 0
    assert '"cell": [[' in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("missing.bin", "unable to open"),
        ("a.bin --size 0 5", "--size: 0 x 5 pixels"),
        ("a.img -o a.img", "is the file of an image too"),
        ("a.img -o none/p.html", "its folder does not exist"),
        ("a.img --expt x -- -cell 10", "a command line is given too"),
        ("a.img -- --help", "asks for help"),
        ("a.img -- -cell 40 -default_F 1 -misset random", "without a seed"),
        ("a.img -- -nonsense 3", "-nonsense"),
        ("a.img --colour", "unrecognized arguments"),
        ("", "required: FILE"),
    ],
)
def test_refusals(
    float_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, complaint: str
) -> None:
    monkeypatch.chdir(float_file.parent)
    assert main(words.split()) == 9
    assert complaint in capsys.readouterr().err
    assert not list(float_file.parent.glob("*.html"))


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "nb-view floatimage.bin -- -hkl P1.hkl" in capsys.readouterr().out
