"""Spectra: units, shares, and every refusal."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.spectrum import read_spectrum

C = 12398.42


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "spectrum.txt"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "12000 1\n12400 3\n",
        "# Energy(eV), intensity\n12000, 1\n12400, 3\n",
        "# keV\n12.0 1\n12.4 3\n",
        "# energy in keV; weight\n12.0;1\n12.4;3",
        f"# wavelength\n{C / 12000} 1\n{C / 12400} 3\n",
        f"# (A) weight\n{C / 12000}\t1\n{C / 12400}\t3\n",
        f"{C / 12000} 2\r\n\r\n{C / 12400} 6\r\n",
        "12400 1.5\n12000 1\n12400 1.5\n13000 0\n",
    ],
)
def test_units_and_shares(write, text):
    spectrum = read_spectrum(write(text))
    np.testing.assert_allclose(spectrum.wavelengths, [C / 12400, C / 12000], rtol=1e-14)
    np.testing.assert_allclose(spectrum.weights, [0.75, 0.25], rtol=1e-14)
    assert spectrum.mean == pytest.approx(0.75 * C / 12400 + 0.25 * C / 12000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no line with a weight"),
        ("12000 0\n", "no line with a weight"),
        ("12000\n", "line 1: expected two numbers"),
        ("12000 1\n12100 x\n", "line 2: 'x' is not a number"),
        ("12000 1\n-3 1\n", "line 2: -3 is neither"),
        ("12000 -1\n", "line 1: the weight -1 is negative"),
        ("12000 1\n1.0 1\n", "line 2: 1 does not look like eV, as line 1 does"),
        ("# keV\n# wavelength\n1 1\n", "several units"),
    ],
)
def test_refusals(write, text, words):
    with pytest.raises(FileFormatError, match=f"spectrum.txt.*{words}"):
        read_spectrum(write(text))


def test_a_named_unit_wins_over_the_size_of_numbers(write):
    assert read_spectrum(write("# eV\n50 1\n200 1\n")).wavelengths[0] == pytest.approx(C / 200)
