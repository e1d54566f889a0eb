from __future__ import annotations

import csv

import numpy as np

from nanobrag_torch.parity.artifacts import write_artifacts


def test_files(tmp_path):
    theirs = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_artifacts(tmp_path, theirs + 1, theirs, centre=(1.0, 1.5), percentile=99.0, save_difference=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "c.png", "difference.bin", "difference.png", "py.png", "radial_profile.csv",
    ]  # fmt: skip
    assert np.fromfile(tmp_path / "difference.bin", np.float32).tolist() == [1.0] * 12
    with open(tmp_path / "radial_profile.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["abs_difference"] for row in rows} <= {"1.0", ""}
