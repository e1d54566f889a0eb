from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError
from nanobrag_torch.io.mesh import read_obj

CUBE = """# a unit cube, outward faces
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
f 4 3 2 1
f 5 6 7 8
f 1/1 2/2 6/3 5/4
f 2 3 7 6
f 3 4 8 7
f -8 -4 -1 -5
"""


def test_a_cube(tmp_path):
    (tmp_path / "c.obj").write_text(CUBE)
    triangles = read_obj(tmp_path / "c.obj")
    assert triangles.shape == (12, 3, 3)
    volume = np.einsum("ti,ti->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])) / 6
    assert volume == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("f 5 6 7 8\n", ""), "not closed"),
        (("v 1 1 1\n", "v 1 1\n"), "line 8: expected three"),
        (("f 2 3 7 6\n", "f 2 3 9 6\n"), "line 13: '9' is no vertex"),
        (("f 2 3 7 6\n", "f 2 3\n"), "line 13: a face of 2"),
    ],
)
def test_refusals(tmp_path, change, words):
    (tmp_path / "c.obj").write_text(CUBE.replace(*change))
    with pytest.raises(FileFormatError, match=words):
        read_obj(tmp_path / "c.obj")


def test_inside_out(tmp_path):
    lines = [" ".join(["f", *line.split()[:0:-1]]) if line.startswith("f") else line for line in CUBE.splitlines()]
    (tmp_path / "c.obj").write_text("\n".join(lines))
    with pytest.raises(FileFormatError, match="clockwise"):
        read_obj(tmp_path / "c.obj")
    (tmp_path / "c.obj").write_text("v 0 0 0\n")
    with pytest.raises(FileFormatError, match="no face"):
        read_obj(tmp_path / "c.obj")
