from __future__ import annotations

import gzip

import pytest

from nanobrag_torch.io.amplitude_files import amplitude_format, brings_cell


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.mtz", b"anything", "mtz"),
        ("A.MTZ", b"", "mtz"),
        ("a.hkl", b"MTZ \x15\0\0\0", "mtz"),
        ("a.cif", b"1 2 3 4", "cif"),
        ("a.mmcif.gz", b"", "cif"),
        ("r1abcsf.ent", b"# a comment\n\n  data_r1abcsf\n", "cif"),
        ("r1abcsf.ent.gz", gzip.compress(b"data_r1abcsf\n"), "cif"),
        ("P1.hkl", b"1 2 3 4\n", "text"),
        ("P1.hkl", b"# data_ is a word here\n1 2 3 4\n", "text"),
        ("empty", b"", "text"),
        ("torn.gz", gzip.compress(b"data_x\n" * 99999)[:20], "text"),
    ],
)
def test_by_suffix_or_else_by_content(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert amplitude_format(tmp_path / name) == kind
    assert brings_cell(tmp_path / name) == (kind != "text")


def test_a_missing_file_is_left_to_its_reader(tmp_path):
    assert amplitude_format(tmp_path / "missing") == "text"
    assert amplitude_format(tmp_path / "missing.mtz") == "mtz"
    assert amplitude_format(tmp_path) == "text"
