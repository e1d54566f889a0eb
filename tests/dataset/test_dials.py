"""Pairs of .expt and .refl: the places in the table follow from the models beside them, by Ewald's construction."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nanobrag_torch.dataset.dials import dials_files
from nanobrag_torch.dataset.images import Maker
from nanobrag_torch.dataset.main import main
from nanobrag_torch.dataset.reading import read_population
from nanobrag_torch.io.refl import read_refl
from nanobrag_torch.io.reflection_table import Flag

TILTED = ("  water_um: 1", "  cell_beta: 100\n  twotheta_deg: 7\n  rotx_deg: 3")
STILL = (TILTED, ("choice: [1, 2]", "choice: [2]"))
TURNING = (TILTED, ("  Na: 6", "  osc_deg: 0.5\n  phi_steps: 10\n  phi_deg: 20\n  Na: 6"))


@pytest.fixture
def files(write, tmp_path):
    def made(*changes):
        maker = Maker(read_population(write(*changes)))
        (sample,) = maker.samples([4])
        content = dials_files(maker)(sample)
        (tmp_path / "x.refl").write_bytes(content["refl"])
        return sample, json.loads(content["expt"]), read_refl(tmp_path / "x.refl")

    return made


def rows(values):
    return np.array([np.array(v, dtype=float) for v in values])


def turned(vectors, axis, angle):
    """Rows turned about an axis (Rodrigues)."""
    angle = np.asarray(angle)[:, None]
    along = (vectors * axis).sum(-1, keepdims=True) * axis
    return along + (vectors - along) * np.cos(angle) + np.cross(axis, vectors) * np.sin(angle)


def models(expt):
    """s0 (1/Å), the rows of A (3 x 3, columns a*, b*, c*), origin, fast and slow of the panel (mm, pixels of mm)."""
    beam, crystal, panel = expt["beam"][0], expt["crystal"][0], expt["detector"][0]["panels"][0]
    real = rows([crystal[f"real_space_{x}"] for x in "abc"])
    s0 = -rows([beam["direction"]])[0] / beam["wavelength"]
    axes = (rows([panel[name]])[0] for name in ("origin", "fast_axis", "slow_axis"))
    return s0, np.linalg.inv(real), *axes, panel["pixel_size"]


def meets(ray, origin, fast, slow):
    """Where rays [n, 3] meet the plane, along fast and slow (mm)."""
    solved = np.linalg.solve(np.stack([fast, slow, origin], axis=1), ray.T)
    return (solved[:2] / solved[2]).T


def test_a_still(files):
    sample, expt, table = files(*STILL)
    s0, A, origin, fast, slow, pixel = models(expt)
    assert not expt["goniometer"]
    assert not expt["scan"]
    assert len(table) == (sample.reflections["lattice"] == 0).sum() > 5
    q = table["miller_index"].astype(float) @ A.T
    # The smallest rotation onto the sphere is about the normal of the plane of q and beam, counted about q x s0.
    normal = np.cross(q, s0)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    there = np.concatenate([turned(q[i : i + 1], normal[i], [table["delpsical.rad"][i]]) for i in range(len(q))])
    ray = s0 + there
    assert np.linalg.norm(ray, axis=1) == pytest.approx(np.linalg.norm(s0), rel=1e-12)
    mm = meets(ray, origin, fast, slow)
    assert mm == pytest.approx(table["xyzcal.mm"][:, :2], abs=1e-9)
    assert mm / pixel == pytest.approx(table["xyzcal.px"][:, :2], abs=1e-9)
    assert np.abs(table["delpsical.rad"]).max() > 1e-4


def test_a_rotation(files):
    _, expt, table = files(*TURNING)
    s0, A, origin, fast, slow, pixel = models(expt)
    axis = rows([expt["goniometer"][0]["rotation_axis"]])[0]
    first, width = np.radians(expt["scan"][0]["oscillation"][0]), np.radians(0.5)
    phi = table["xyzcal.mm"][:, 2]
    there = turned(table["miller_index"].astype(float) @ A.T, axis, phi)
    assert np.linalg.norm(s0 + there, axis=1) == pytest.approx(np.linalg.norm(s0), rel=1e-12)
    mm = meets(s0 + there, origin, fast, slow)
    assert mm == pytest.approx(table["xyzcal.mm"][:, :2], abs=1e-9)
    assert table["xyzcal.px"] == pytest.approx(np.column_stack([mm / pixel, (phi - first) / width]), abs=1e-9)
    assert len(table) > 5


def test_what_was_seen(files):
    sample, expt, table = files(("labels:", "noise: {saturation: 50}\nlabels:"), ("choice: [1, 2]", "choice: [2]"))
    own = sample.reflections["lattice"] == 0
    columns = {name: values[own] for name, values in sample.reflections.items()}
    assert 0 < own.sum() < len(own)
    assert np.array_equal(table["intensity.sum.value"], columns["drawn"] - columns["background"])
    assert np.array_equal(table["xyzobs.px.value"][:, 0], columns["fast"])
    flags = table["flags"]
    assert np.array_equal((flags & int(Flag.OVERLOADED)) > 0, columns["saturated"] > 0)
    assert np.array_equal((flags & int(Flag.OVERLAPPED_FG)) > 0, columns["overlap"] > 0)
    assert (columns["saturated"] > 0).sum() > 0
    assert expt["experiment"][0]["identifier"] == "image-4"


def test_shards_hold_them_on_request(write, tmp_path):
    import tarfile

    path = write(("masks: true", "dials: true"))
    assert main(["make", str(path), "-o", str(tmp_path / "set")]) == 0
    with tarfile.open(tmp_path / "set" / "s-01.tar") as tar:
        names = tar.getnames()
        text = tar.extractfile("000000004.expt").read()
    assert {"000000003.expt", "000000003.refl", "000000005.refl"} <= set(names)
    maker = Maker(read_population(path))
    (sample,) = maker.samples([4])
    assert dials_files(maker)(sample)["expt"] == text
