from __future__ import annotations

import pytest

DESCRIPTION = """\
seed: 7
images: 7
scene:
  cell_a: 60
  cell_b: 70
  cell_c: 80
  default_F: 100
  shape: gauss
  wavelength_A: 1.0
  fluence: 1e26
  distance_mm: 100
  pixels_f: 40
  pixels_s: 36
  pixel_mm: 0.5
  oversample: 2
  Na: 6
  Nb: 6
  Nc: 6
  water_um: 1
vary:
  orientation: {rotations: all}
  fluence: {log_normal: [1e26, 0.3]}
  lattices: {choice: [1, 2]}
labels: {masks: true, noise_free: true}
shards: {file: s-##.tar, images: 3}
"""


@pytest.fixture
def write(tmp_path):
    """Writes a description, with some of its text replaced, and gives its path."""

    def writer(*changes, name="d.yaml", text=DESCRIPTION):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return writer
