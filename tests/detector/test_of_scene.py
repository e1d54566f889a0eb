"""The response of a detector in a scene: flags, TOML, files, several panels, series, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fabio
import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
import torch

from nanobrag_torch import Config, DetectorConfig, Experiment, PanelConfig, ResponseConfig, Simulator, settle
from nanobrag_torch.cli.main import main
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.config import CrystalConfig, OutputConfig
from nanobrag_torch.detector.model import DetectorResponse, Sensor
from nanobrag_torch.detector.of_scene import placed, record_image, response_of
from nanobrag_torch.detector.presets import gaps_of, preset
from nanobrag_torch.detector.record import record
from nanobrag_torch.errors import InputError
from nanobrag_torch.materials.sensors import sensor_attenuation

SCENE = (
    "-cell 40 45 50 -misset 5 10 15 -default_F 50 -N 4 -detpixels 80 -pixel 0.8 -distance 100 -lambda 1.2 "
    "-oversample 1 -nopgm -seed 7 -noprogress -quiet"
)


def run(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(folder)
    return main(f"{SCENE} {line}".split())


def pixels(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["entry/data/data"][()])


def test_the_same_counts_in_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of `record` on the float image, and other files do not change."""
    words = "-response pilatus -flicker 0.01 -calibration 0.03 -hot_pixels 0.01"
    assert run(tmp_path, f"{words} -floatfile f.bin -cbf c.cbf -nexus n.nxs -noisefile n.img", monkeypatch) == 0
    photons = np.fromfile(tmp_path / "f.bin", np.float32).reshape(80, 80)
    specified = response_of(ResponseConfig(response="pilatus", flicker=0.01, calibration=0.03, hot_pixels=0.01), 7)
    scene = settle(parse(SCENE.split()))
    expected = record(photons.astype(float), placed(specified, scene, scene.detector.panels[0], 1.0))
    good = expected.mask == 0
    assert 0 < (~good).sum() < 200
    cbf, nexus = fabio.open(tmp_path / "c.cbf").data, pixels(tmp_path / "n.nxs").reshape(80, 80)
    np.testing.assert_array_equal(cbf[good], expected.counts[good])
    assert (cbf[~good] == -2).all()
    np.testing.assert_array_equal(nexus[good], expected.counts[good])
    with h5py.File(tmp_path / "n.nxs") as file:
        detector = file["entry/instrument/detector"]
        np.testing.assert_array_equal(detector["pixel_mask"][()] == 8, ~good)
        assert detector["saturation_value"][()] == 2**20 - 1
    smv = fabio.open(tmp_path / "n.img").data
    np.testing.assert_array_equal(smv[good], expected.counts[good])
    plain = tmp_path / "plain"
    plain.mkdir()
    assert run(plain, "-floatfile f.bin -nonoise", monkeypatch) == 0
    assert (plain / "f.bin").read_bytes() == (tmp_path / "f.bin").read_bytes()


def test_the_sensor_stands_where_the_panel_is() -> None:
    """On the axis the efficiency is that of the thickness, 30 degrees away that of the longer path; tilts count too."""
    tilted = settle(parse([*SCENE.split(), "-detector_rotx", "20"]))
    said = ResponseConfig(sensor_material="CdTe", sensor_um=200.0)
    response = placed(response_of(said), tilted, tilted.detector.panels[0], 1.0)
    assert response.sensor is not None
    sensor = response.sensor
    assert (sensor.material, sensor.thickness_um, sensor.wavelength_A) == ("CdTe", 200.0, 1.2)
    frame = np.array([sensor.beam_f, sensor.beam_s])
    # Brute force: the angle of every pixel against the normal from the lab positions of the panel.
    from nanobrag_torch.pipeline.render import panel_frame_of

    panel = tilted.detector.panels[0]
    found = panel_frame_of(panel, tilted.beam.direction, False)
    place = found.origin + 8e-4 * (40.5 * found.fast + 12.5 * found.slow)
    cosine = float((place @ found.normal).abs() / place.norm())
    across = (np.array([40.5, 12.5]) - frame) * 0.8 / sensor.distance_mm
    assert 1.0 / np.sqrt(1.0 + across @ across) == pytest.approx(cosine, rel=1e-9)
    from nanobrag_torch.detector.stages import absorbed

    flat = replace(sensor, parallax=False)
    kept = absorbed(torch.ones(80, 80, dtype=torch.float64), flat)
    wanted = 1.0 - np.exp(-sensor_attenuation("CdTe", 1.2) * 200e-6 / cosine)
    assert float(kept[12, 40]) == pytest.approx(wanted, rel=1e-9)


def panels(count: int) -> Experiment:
    made = tuple(
        PanelConfig((-8.0, 8.0 - 20.0 * i, 100.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), 20, 20, 0.8) for i in range(count)
    )
    crystal = CrystalConfig(cell_a=40, cell_b=45, cell_c=50, cell_alpha=90, cell_beta=90, cell_gamma=90, default_F=50.0)
    return settle(Config(crystal, detector=DetectorConfig(panels=made, convention="CUSTOM")))


def test_panels_share_the_flicker_and_nothing_else() -> None:
    experiment = panels(2)
    image = Simulator(experiment).run()
    image = replace(image, values=tuple(torch.full_like(v, 1e5) for v in image.values))
    config = Config(response=ResponseConfig(flicker=0.2), output=OutputConfig(noise_seed=3))
    one, other = record_image(image, config)
    assert (one.counts != other.counts).mean() > 0.9
    assert one.counts.mean() == pytest.approx(other.counts.mean(), rel=1e-3)
    assert abs(one.counts.mean() / 1e5 - 1.0) > 0.01


def test_a_series_flickers_and_keeps_its_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "-frames 2 -osc 0.1 -nexus s.nxs -response photons -dead_pixels 0.05 -flicker 0.2 -fluence 1e31"
    assert run(tmp_path, line, monkeypatch) == 0
    first, second = (pixels(tmp_path / f"s_0000{n}.nxs").reshape(80, 80) for n in (1, 2))
    np.testing.assert_array_equal(masked(tmp_path / "s_00001.nxs"), masked(tmp_path / "s_00002.nxs"))
    good = masked(tmp_path / "s_00001.nxs") == 0
    assert (first[good] != second[good]).any()
    with h5py.File(tmp_path / "s.nxs") as file:
        np.testing.assert_array_equal(file["entry/instrument/detector/pixel_mask"][()].reshape(80, 80) == 2, ~good)


def masked(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file["entry/instrument/detector/pixel_mask"][()]).reshape(80, 80)


def test_a_file_holds_a_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text("gain = 2.0\nadc = 10.0\nbits = 12\n[stop]\nf = 40\ns = 40\nradius = 5\n")
    assert run(tmp_path, "-response mine.toml -gain 3 -cbf c.cbf -save_scene scene.toml", monkeypatch) == 0
    counts = fabio.open(tmp_path / "c.cbf").data
    assert (counts >= 10).all()
    assert ((counts - 10) % 3 == 0).all()
    assert counts.max() <= 4095
    assert main(["scene.toml", "-cbf", "again.cbf", "-save_scene", "other.toml", "-quiet"]) == 0
    np.testing.assert_array_equal(fabio.open(tmp_path / "again.cbf").data, counts)
    (tmp_path / "bad.toml").write_text("gainn = 2.0\n")
    assert run(tmp_path, "-response bad.toml -cbf d.cbf", monkeypatch) == 9
    assert "gainn" in capsys.readouterr().err
    assert not (tmp_path / "d.cbf").exists()


def test_a_float_image_is_recorded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same words with -photons: the same file as from a render of its own; what does not fit is refused."""
    assert run(tmp_path, "-response eiger -floatfile f.bin -cbf once.cbf", monkeypatch) == 0
    assert run(tmp_path, "-response eiger -photons f.bin -cbf again.cbf", monkeypatch) == 0
    once, again = (fabio.open(tmp_path / name).data for name in ("once.cbf", "again.cbf"))
    np.testing.assert_array_equal(once, again)
    twice = 2.0 * np.fromfile(tmp_path / "f.bin", np.float32)
    twice.tofile(tmp_path / "g.bin")
    assert run(tmp_path, "-photons g.bin -cbf more.cbf", monkeypatch) == 0
    assert fabio.open(tmp_path / "more.cbf").data.sum() == pytest.approx(twice.sum(), rel=0.05)
    twice[3] = np.nan
    twice.tofile(tmp_path / "nan.bin")
    np.zeros(99, np.float32).tofile(tmp_path / "small.bin")
    capsys.readouterr()
    for words, message in (
        ("-photons nan.bin", "-photons: a pixel is negative or not finite"),
        ("-photons small.bin", "396 bytes, expected 25600"),
        ("-photons g.bin -frames 2 -osc 1", "a series renders its images"),
        ("-photons g.bin -floatfile g.bin", "g.bin"),
    ):
        assert run(tmp_path, f"{words} -cbf no.cbf", monkeypatch) == 9
        assert message in capsys.readouterr().err
        assert not (tmp_path / "no.cbf").exists()


def test_gaps_lie_between_modules() -> None:
    modules = preset("pilatus").modules
    assert modules is not None
    found = gaps_of(modules, (2463, 2527))
    columns = sorted({g[:2] for g in found if g[2] == 0 and g[3] == 2526})
    rows = sorted({g[2:] for g in found if g[0] == 0 and g[1] == 2462})
    # A PILATUS 6M has 5 x 12 modules.
    assert columns == [(487 + 494 * i, 493 + 494 * i) for i in range(4)]
    assert rows == [(195 + 212 * i, 211 + 212 * i) for i in range(11)]
    assert gaps_of(modules, (487, 195)) == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-response pilatos", "not one of photons, pilatus, eiger, ccd"),
        ("-response pilatus -nonoise", "leave out -nonoise"),
        ("-flicker -0.1", "-flicker: -0.1 cannot be; give 0 to 1"),
        ("-bits 40", "-bits: 40 cannot be; give 1 to 31"),
        ("-psf_fwhm 80", "give -psf gauss"),
        ("-psf gauss -psf_fwhm 1e5", "pixels are wider than the frame"),
        ("-psf gauss -charge_sharing 0.1", "has no light to spread"),
        ("-sensor Ge", "is none of Si, CdTe, GaAs"),
        ("-sensor Si -detector_thick 320 -detector_abs 300", "leave one of them out"),
        ("-beamstop -1", "cannot be; give 1e-06 to 10000"),
        ("-beamstop_edge 0.1", "give -beamstop RADIUS too"),
        ("-dead_pixels 0.7 -hot_pixels 0.7", "at most 1 in all"),
        ("-sensor Si -curved_det", "a sensor needs flat panels"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, f"-cbf c.cbf {words}", monkeypatch) == 9
    told = capsys.readouterr().err.strip().splitlines()
    assert message in told[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_response_in_python() -> None:
    with pytest.raises(InputError, match="flicker: 2 cannot be"):
        response_of(ResponseConfig(flicker=2.0))
    assert response_of(ResponseConfig(sensor_um=100.0)).response == DetectorResponse(sensor=Sensor("Si", 100.0))
