"""Refusals of ours that an original does not share: known by the words of the documented ones, and by no others."""

from __future__ import annotations

import pytest

from nanobrag_torch.cli.main import main
from nanobrag_torch.parity.case import Line, try_line
from nanobrag_torch.parity.explain import refusal_explained

SCENE = "-cell 40 45 50 -default_F 100 -N 4 -distance 60 -lambda 1.2 -detpixels 20 -pixel 0.4 -oversample 1 -quiet"
FILES = {
    "singular.mat": "1 2 3 2 4 6 1 1 1",
    "short.mat": "1 2 3",
    "words.mat": "a b c",
    "half.hkl": "0 0 1.5 3\n",
    "words.src": "x y\n",
    "junk": "zz",
}
DOCUMENTED = [
    ("D18", "-cell 40 45 50 30 30 90"),
    ("D17", "-detpixels 50000"),
    ("D17", "-detpixels_x -5"),
    ("D19", "-lambda 0"),
    ("D19", "-energy 0"),
    ("D19", "-pixel 0"),
    ("D19", "-distance -3"),
    ("D19", "-close_distance 0"),
    ("D19", "-water -5"),
    ("D19", "-lambda nan"),
    ("D19", "-distance -inf"),
    ("D19", "-beam_vector 0 0 0"),
    ("D19", "-fdet_vector 0 1 0 -sdet_vector 0 1 0"),
    ("D19", "-detector_roty 90"),
    ("D19", "-twotheta 90"),
    ("D19", "-mat singular.mat"),
    ("section D", "-seed 2147483647"),
    ("D24", "-bogus"),
    ("D24", "bogus"),
    ("D16", "-lambda"),
    ("D16", "-misset 1 2"),
    ("D57", "-roi 5 3 0 0"),
    ("D52", "-twotheta_axis 0 0 2 -twotheta 10"),
    ("D14", "-img junk"),
    ("D14", "-mask nowhere"),
    ("D15", "-mat short.mat"),
    ("D15", "-mat words.mat"),
    ("D15", "-mat nowhere"),
    ("D23", "-hkl half.hkl"),
    ("D11", "-dump junk"),
    ("D13", "-sourcefile words.src"),
]
OTHERS = ["-polar 1e150", "-cell 1e30 1 1", "-N x", "-printout_pixel 99 99", "-dispersion 300 -dispsteps 3", "-flux -1"]


def refusal(words, folder, monkeypatch, capsys):
    for name, content in FILES.items():
        (folder / name).write_text(content)
    monkeypatch.chdir(folder)
    assert main([*SCENE.split(), *words.split()]) == 9
    return capsys.readouterr().err


@pytest.mark.parametrize(("number", "words"), DOCUMENTED, ids=[words for _, words in DOCUMENTED])
def test_a_documented_refusal_has_its_number(number, words, tmp_path, monkeypatch, capsys):
    said = refusal(words, tmp_path, monkeypatch, capsys)
    assert [text.split(":")[0] for text in refusal_explained(0, 9, "", said)] == [number]


@pytest.mark.parametrize("words", OTHERS)
def test_any_other_refusal_is_a_disagreement(words, tmp_path, monkeypatch, capsys):
    assert refusal_explained(0, 9, "", refusal(words, tmp_path, monkeypatch, capsys)) == []


@pytest.mark.parametrize(
    "said",
    [
        "nanobrag: the cell of the moon is not known",
        "nanobrag: -mat: something lacks what it needs in the region",
        "nanobrag: -foo: no cell is positive",
        "",
    ],
)
def test_words_that_only_sound_alike_explain_nothing(said):
    assert refusal_explained(0, 9, "", said) == []


def test_an_image_that_cannot_be_is_explained_where_the_original_wrote_one(original, tmp_path):
    """The amplitudes overflow: an image of infinities there, none here."""
    line = Line("x", tuple([*SCENE.split()[:-1], "-default_F", "1e30", "-nonoise", "-nopgm"]))
    result = try_line(line, original, tmp_path)
    assert result.explained[0].startswith("D22")
    said = "nanobrag: the image cannot be: 4 of 9 pixels are negative or not finite, the first (slow 0, fast 0) is inf"
    assert refusal_explained(0, 9, "", said) == []
    assert refusal_explained(0, 9, "", said, lambda: False)[0].startswith("D22")


@pytest.mark.parametrize("words", ["-twotheta 120", "-default_F 1e30"])
def test_the_reference_refuses_such_an_image_too(words, c_program, tmp_path):
    line = Line("x", (*SCENE.split()[:-1], *words.split(), "-nonoise", "-nopgm"))
    if not c_program.is_reference:
        pytest.skip("an original writes it")
    result = try_line(line, c_program, tmp_path)
    assert (result.status, result.problems) == ((9, 9), [])
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == []


def test_an_extension_and_a_crash():
    assert refusal_explained(9, 0, "-source_weights: nanoBragg has no such flag", "")[0].startswith("D34")
    assert refusal_explained(9, 0, "--pix0_override_mm: nanoBragg has no such flag", "")[0].startswith("D05: -pix0")
    assert refusal_explained(139, 0, "", "") == []
