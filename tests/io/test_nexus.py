"""NXmx: geometry through the chains, data, mask, spectrum; damage is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.nexus import NOT_MEASURED, NexusImages, layout, read_nexus, write_nexus
from nanobrag_torch.io.scene import GAP, MASKED, Scene, SceneBeam, ScenePanel, rotation

X, Y, Z = np.eye(3)


def scene(turn=None, direction=X, **fields) -> Scene:
    turn = np.eye(3) if turn is None else turn
    panel = ScenePanel(30, 20, 1e-4, turn @ np.array([0.1, 1e-3, -1.5e-3]), turn @ Z, turn @ -Y, name="only")
    beam = SceneBeam(direction, 1.1, np.array([1.1]), np.ones(1), Z, 0.5, 1e20, exposure=0.5, size=2e-4)
    return Scene(**{"panels": (panel,), "beam": beam, "spindle": Z, "phi": 3.0, "osc": 1.0, **fields})


def several(count: int) -> Scene:
    """Panels of different sizes and tilts."""
    panels = []
    for i in range(count):
        turn = rotation(Y, 3.0 * i) @ rotation(Z, 1.0 + i)
        origin = np.array([0.1, 4e-3 * i, -1e-3])
        panels.append(ScenePanel(8 + i % 3, 5 + i % 2, 2e-4, origin, turn @ Z, turn @ -Y, name=f"panel {i}"))
    return replace(scene(), panels=tuple(panels))


def frames_of(what: Scene, count: int = 1, dtype=np.int32) -> list[tuple[np.ndarray, ...]]:
    random = np.random.default_rng(1)
    shapes = [(panel.pixels_s, panel.pixels_f) for panel in what.panels]
    return [tuple(random.poisson(5.0, shape).astype(dtype) for shape in shapes) for _ in range(count)]


def write(path, what: Scene, **said) -> list[tuple[np.ndarray, ...]]:
    frames = said.pop("frames", None) or frames_of(what)
    write_nexus(path, NexusImages(frames, [3.0 + i for i in range(len(frames))], **said), what)
    return frames


SCENES = {
    "square": scene(),
    "tilted": scene(rotation(X, 3.0) @ rotation(Y, -5.0) @ rotation(Z, 7.0)),
    "swung": scene(rotation(-Z, 20.0), twotheta=20.0, twotheta_axis=-Z),
    "swung about a long axis": scene(rotation(-Z, 20.0), twotheta=20.0, twotheta_axis=-2.0 * Z),
    "tilted and swung": scene(rotation(-Z, 20.0) @ rotation(Y, 9.0), twotheta=20.0, twotheta_axis=-Z),
    "beam askew": scene(direction=np.array([0.99, 0.1, -0.05]) / np.linalg.norm([0.99, 0.1, -0.05])),
    "several": several(3),
    "many": several(12),
}


@pytest.mark.parametrize("name", SCENES)
def test_the_chains_lead_to_our_corners(tmp_path, name):
    what = SCENES[name]
    write(tmp_path / "a.nxs", what)
    found = read_nexus(tmp_path / "a.nxs")
    assert [panel.name for panel in found.panels] == [panel.name for panel in what.panels]
    for mine, theirs in zip(what.panels, found.panels, strict=True):
        np.testing.assert_allclose(theirs.corners(), mine.corners() @ what.to_mcstas.T, rtol=0, atol=1e-12)


def test_the_swing_is_an_axis_of_its_own(tmp_path):
    what = SCENES["swung"]
    write(tmp_path / "a.nxs", what)
    with h5py.File(tmp_path / "a.nxs") as file:
        arm = file["/entry/instrument/detector/transformations/two_theta"]
        assert arm[()] == 20.0
        np.testing.assert_allclose(arm.attrs["vector"], what.to_mcstas @ -Z, atol=1e-15)
        offset = file["/entry/instrument/detector/module_0/module_offset"]
        np.testing.assert_allclose(offset[()] * offset.attrs["vector"], [1.5e-3, 1e-3, 0.0], atol=1e-15)
        assert file["/entry/instrument/detector/transformations/det_z"][()] == pytest.approx(0.1)
        assert file["/entry/instrument/detector/distance"][()] == pytest.approx(0.1 / np.cos(np.radians(20.0)))


def test_a_detector_swung_by_a_right_angle_meets_no_beam(tmp_path):
    what = scene(rotation(-Z, 90.0), twotheta=90.0, twotheta_axis=-Z)
    write(tmp_path / "a.nxs", what)
    with h5py.File(tmp_path / "a.nxs") as file:
        assert "beam_center_x" not in file["/entry/instrument/detector"]
    np.testing.assert_allclose(read_nexus(tmp_path / "a.nxs").panels[0].origin, what.to_mcstas @ what.panels[0].origin)


def test_data_of_several_frames_and_panels(tmp_path):
    what = several(3)
    frames = write(tmp_path / "a.nxs", what, frames=frames_of(what, 4))
    found = read_nexus(tmp_path / "a.nxs")
    shape, starts = layout(what.panels)
    assert found.data.shape == (4, *shape) == (4, 16, 10)
    assert found.data.dtype == np.int32
    for panel, start, index in zip(what.panels, starts, range(3), strict=True):
        place = np.s_[:, start : start + panel.pixels_s, : panel.pixels_f]
        np.testing.assert_array_equal(found.data[place], [frame[index] for frame in frames])
        assert (found.mask[place[1:]] == 0).all()
    assert (found.mask == GAP).sum() == 16 * 10 - sum(p.pixels_f * p.pixels_s for p in what.panels)
    assert (found.data[:, found.mask == GAP] == NOT_MEASURED).all()
    np.testing.assert_array_equal(found.phi, [3.0, 4.0, 5.0, 6.0])


def test_photons_without_noise_stay_as_they_are(tmp_path):
    values = (np.random.default_rng(2).random((20, 30)).astype(np.float32),)
    write(tmp_path / "a.nxs", scene(), frames=[values])
    np.testing.assert_array_equal(read_nexus(tmp_path / "a.nxs").data[0], values[0])


def test_masked_counts_are_marked(tmp_path):
    mask = np.zeros((20, 30), dtype=np.int32)
    mask[2, 3], mask[4, 5] = GAP, MASKED
    write(tmp_path / "a.nxs", scene(), masks=(mask,))
    found = read_nexus(tmp_path / "a.nxs")
    np.testing.assert_array_equal(found.mask, mask)
    assert (found.data[0] == NOT_MEASURED).sum() == 2


def test_the_data_are_packed_with_bitshuffle(tmp_path):
    write(tmp_path / "a.nxs", scene())
    with h5py.File(tmp_path / "a.nxs") as file:
        data = file["/entry/data/data"]
        assert data.chunks == (1, 20, 30)
        assert data.id.get_create_plist().get_filter(0)[0] == 32008
        assert file["/entry/instrument/detector/data"].id.__eq__(data.id)


def test_the_filter_is_there_although_a_plugin_path_is_set(tmp_path, monkeypatch):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    write(tmp_path / "a.nxs", scene())
    assert read_nexus(tmp_path / "a.nxs").data.shape == (1, 20, 30)


def test_the_beam(tmp_path):
    what = scene()
    two = replace(what.beam, wavelengths=np.array([1.0, 1.2]), weights=np.array([0.25, 0.75]))
    write(tmp_path / "a.nxs", replace(what, beam=two))
    with h5py.File(tmp_path / "a.nxs") as file:
        beam = file["/entry/instrument/beam"]
        assert beam["incident_wavelength"][()] == 1.1
        variant = beam["incident_wavelength"].attrs["variant"]
        np.testing.assert_array_equal(beam[variant], [1.0, 1.2])
        np.testing.assert_array_equal(beam[f"{variant}_weights"], [0.25, 0.75])
        assert beam["flux_integrated"][()] == 1e20
        assert beam["flux"][()] == 2e20
        assert beam["total_flux"][()] == pytest.approx(1e20 * 4e-8 / 0.5)
        # The electric field along lab z, which is x of NeXus here: linear along x, half polarized.
        np.testing.assert_allclose(beam["incident_polarization_stokes"][0], [1.0, 0.5, 0.0, 0.0], atol=1e-15)


def test_the_spindle_and_the_cell(tmp_path):
    cell = np.diag([40.0, 50.0, 60.0]) @ rotation(X, 30.0).T
    what = replace(scene(), cell=cell)
    write(tmp_path / "a.nxs", what, frames=frames_of(what, 2))
    with h5py.File(tmp_path / "a.nxs") as file:
        sample = file["/entry/sample"]
        phi = file[sample["depends_on"].asstr()[()]]
        np.testing.assert_array_equal(phi, [3.0, 4.0])
        np.testing.assert_array_equal(phi.parent["phi_end"], [4.0, 5.0])
        np.testing.assert_allclose(phi.attrs["vector"], what.to_mcstas @ Z, atol=1e-15)
        np.testing.assert_allclose(sample["unit_cell"], [[40, 50, 60, 90, 90, 90]])
        np.testing.assert_allclose(file["/entry/simulation/cell_vectors"], cell @ what.to_mcstas.T)


def test_every_place_that_something_depends_on_exists(tmp_path):
    write(tmp_path / "a.nxs", several(3))
    with h5py.File(tmp_path / "a.nxs") as file:

        def check(name, node):
            place = node.attrs.get("depends_on", ".")
            if name.endswith("/depends_on"):
                place = node.asstr()[()]
            assert place == "." or place in file, name

        file.visititems(check)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    when = datetime(2020, 1, 1, tzinfo=UTC)
    for name in "ab":
        write(tmp_path / f"{name}.nxs", scene(), when=when)
    assert (tmp_path / "a.nxs").read_bytes() == (tmp_path / "b.nxs").read_bytes()
    assert b"2020-01-01T00:00:00Z" in (tmp_path / "a.nxs").read_bytes()


def test_frames_and_angles_must_agree(tmp_path):
    with pytest.raises(ValueError, match="1 frames for 2 spindle angles"):
        write_nexus(tmp_path / "a.nxs", NexusImages(frames_of(scene()), [0.0, 1.0]), scene())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        write(tmp_path / "no" / "a.nxs", scene())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], "cut short or damaged"),
        (lambda data: b"", "cut short or damaged"),
        (lambda data: b"{" + data, "cut short or damaged|not a complete NXmx"),
        (lambda data: data.replace(b"pixel_mask", b"pixel_mazk"), "not a complete NXmx"),
    ],
)
def test_damage_is_named(tmp_path, damage, words):
    write(tmp_path / "a.nxs", scene())
    (tmp_path / "a.nxs").write_bytes(damage((tmp_path / "a.nxs").read_bytes()))
    with pytest.raises(FileFormatError, match=f"a.nxs: .*({words})"):
        read_nexus(tmp_path / "a.nxs")


def test_hdf5_that_is_not_nexus(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FileFormatError, match="not a complete NXmx file"):
        read_nexus(tmp_path / "a.h5")
