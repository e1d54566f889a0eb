from __future__ import annotations

import gzip
import time

import gemmi
import numpy as np
import pytest

from nanobrag_torch.io.amplitude_files import amplitude_format, brings_cell
from nanobrag_torch.io.hkl import read_hkl
from nanobrag_torch.io.model import read_model
from nanobrag_torch.io.mtz import read_mtz


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.mtz", b"anything", "mtz"),
        ("A.MTZ", b"", "mtz"),
        ("a.hkl", b"MTZ \x15\0\0\0", "mtz"),
        ("a.cif", b"1 2 3 4", "cif"),
        ("a.mmcif.gz", b"", "cif"),
        ("r1abcsf.ent", b"# a comment\n\n  data_r1abcsf\n", "cif"),
        ("r1abcsf.ent.gz", gzip.compress(b"data_r1abcsf\n", mtime=0), "cif"),
        ("P1.hkl", b"1 2 3 4\n", "text"),
        ("P1.hkl", b"# data_ is a word here\n1 2 3 4\n", "text"),
        ("empty", b"", "text"),
        ("torn.gz", gzip.compress(b"data_x\n" * 99999, mtime=0)[:20], "text"),
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


def random_model(atoms: int) -> str:
    """A PDB file of as many atoms as lysozyme has, in its cell, at random."""
    rng = np.random.default_rng(1)
    lines = ["CRYST1   79.000   79.000   38.000  90.00  90.00  90.00 P 43 21 2     8"]
    for i, element in enumerate(rng.choice(["C", "N", "O", "S"], atoms, p=[0.62, 0.17, 0.2, 0.01]), start=1):
        position = "".join(f"{x:8.3f}" for x in rng.uniform(0, [79, 79, 9.5]))
        head = f"ATOM  {i:5d}  {element:<3s} ALA A{i:4d}    "
        lines.append(f"{head}{position}  1.00{rng.uniform(10, 40):6.2f}          {element:>2s}")
    return "\n".join([*lines, "END", ""])


def test_the_2_angstrom_table_of_a_lysozyme_in_five_seconds(tmp_path):
    """Computed, and read as MTZ and as text: 124143 reflections of P1."""
    (tmp_path / "model.pdb").write_text(random_model(1001))
    seconds = {}

    def timed(name, call):
        begun = time.process_time()
        found = call()
        seconds[name] = time.process_time() - begun
        return found

    computed = timed("computed", lambda: read_model(tmp_path / "model.pdb", 2.0, 1.0)).grid
    indices, values = np.argwhere(computed.given) + computed.origin, computed.values[computed.given]
    assert len(indices) > 120_000
    (tmp_path / "P1.hkl").write_text(
        "".join(f"{h} {k} {l} {F:.4f}\n" for (h, k, l), F in zip(indices, values, strict=True))
    )
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup("P 43 21 2")
    mtz.set_cell_for_all(gemmi.UnitCell(79, 79, 38, 90, 90, 90))
    mtz.add_dataset("computed")
    mtz.add_column("F(+)", "G")
    mtz.add_column("F(-)", "G")
    asu = gemmi.ReciprocalAsu(mtz.spacegroup)
    one = np.array([asu.is_in(hkl) for hkl in indices.tolist()])
    mates = computed.values[tuple((-indices[one] - computed.origin).T)]
    mtz.set_data(np.column_stack([indices[one], values[one], mates]).astype(np.float32))
    mtz.write_to_file(str(tmp_path / "data.mtz"))
    text = timed("text", lambda: read_hkl(tmp_path / "P1.hkl"))
    binary = timed("MTZ", lambda: read_mtz(tmp_path / "data.mtz")).grid
    for found in (text, binary):
        assert found.origin == computed.origin
        np.testing.assert_allclose(found.values, computed.values, rtol=1e-5, atol=1e-4 * values.max())
    assert max(seconds.values()) < 5.0, seconds
