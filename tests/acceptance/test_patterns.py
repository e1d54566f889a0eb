"""The classic whole-program patterns, and that they come out the same every time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nanobrag_torch.cli.main import main


@pytest.mark.parametrize(
    "name",
    [
        "basic_cubic_aligned", "basic_orthorhombic", "basic_monoclinic", "basic_triclinic_mat", "basic_hexagonal",
        "basic_rhombohedral_mat", "tricell_mild", "tricell_strong", "tricell_gauss_mosaic", "acc_simple_cubic",
        "acc_simple_cubic_mosaic", "acc_triclinic_P1", "acc_cubic_tilted_detector", "acc_high_resolution_center",
        "acc_high_resolution_corner",
    ],
)  # fmt: skip
def test_stored(three_ways, name):
    three_ways(name)


@pytest.mark.slow
def test_the_six_megapixel_frame(three_ways):
    three_ways("acc_pilatus6m")


def test_a_cube_looks_the_same_from_all_sides(draw):
    """A cubic lattice along the beam: four-fold symmetric about it."""
    image = draw(
        "-xds -cell 60 -N 6 -default_F 100 -lambda 1 -distance 100 -pixel 1 -detpixels 50 -nopolar -oversample 1 "
        "-nonoise -nopgm"
    ).image
    for turned in (np.rot90(image), image[::-1], image[:, ::-1], image.T):
        np.testing.assert_allclose(turned, image, rtol=1e-4, atol=1e-8 * image.max())


SCENE = (
    "-default_F 100 -cell 40 45 50 80 85 95 -N 5 -misset 10 20 30 -mosaic 1 -mosaic_domains 4 -phi 3 -osc 1 "
    "-phisteps 2 -divergence 5 -divsteps 3 -polar 0.8 -water 5 -fluence 1e24 -detector_thick 200 -detector_abs 400 "
    "-lambda 1.2 -distance 60 -pixel 0.3 -detpixels_x 60 -detpixels_y 50 -oversample 2 -seed 8 -noprogress"
)
FILES = ("floatimage.bin", "intimage.img", "image.pgm", "noiseimage.img")


def written(folder: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main([*SCENE.split(), *words]) == 0
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("words", [(), ("-threads", "1"), ("-threads", "2"), ("-memory", "2"), ("-memory", "40")])
def test_the_same_bytes_every_time(tmp_path, monkeypatch, words):
    """Runs, chunk sizes and numbers of threads do not show in any file."""
    assert written(tmp_path / "one", words, monkeypatch) == written(tmp_path / "other", (), monkeypatch)


def test_the_c_reference_does_not_depend_on_its_threads(c_program, tmp_path):
    images = []
    for threads in ("1", "2", "5"):
        folder = tmp_path / threads
        folder.mkdir()
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        subprocess.run([c_program.path, *SCENE.split()], cwd=folder, env=environment, check=True, capture_output=True)
        images.append({name: (folder / name).read_bytes() for name in FILES})
    assert images[0] == images[1] == images[2]
