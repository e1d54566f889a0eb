from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nanobrag_torch.config import (
    BeamConfig,
    Config,
    CrystalConfig,
    DetectorConfig,
    OutputConfig,
    SamplingConfig,
)
from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.fdump import read_dump, write_dump
from nanobrag_torch.io.hkl import ReflectionGrid
from nanobrag_torch.settling.inputs import dump_file, has_amplitudes, read_inputs, write_dump_for


def crystal(**fields) -> Config:
    return Config(crystal=CrystalConfig(**fields))


def table(folder, text="0 0 0 5\n1 0 0 6\n") -> str:
    (folder / "a.hkl").write_text(text)
    return str(folder / "a.hkl")


def dump(folder, value=8.0) -> str:
    name = str(folder / "old.bin")
    write_dump(name, ReflectionGrid(np.full((2, 2, 2), value), (0, 0, 0), 8))
    return name


def mask(folder, fast=6, slow=4) -> str:
    text = f"{{\nHEADER_BYTES=512;\nSIZE1={fast};\nSIZE2={slow};\nTWOTHETA=3;\n}}\f".encode().ljust(512)
    pixels = np.ones((slow, fast), dtype=np.uint16)
    pixels[1, 2] = 0
    (folder / "m.img").write_bytes(text + pixels.tobytes())
    return str(folder / "m.img")


def test_nothing_named_nothing_read():
    inputs = read_inputs(Config())
    assert all(value in (None, False) for value in vars(inputs).values())


def test_every_named_file_is_read(tmp_path):
    (tmp_path / "a.mat").write_text("1 2 3 4 5 6 7 8 10")
    (tmp_path / "s.txt").write_text("-10 0 0\n")
    config = Config(
        crystal=CrystalConfig(matrix_file=str(tmp_path / "a.mat"), hkl_file=table(tmp_path), default_F=2.0),
        beam=BeamConfig(source_file=str(tmp_path / "s.txt")),
        detector=DetectorConfig(pixels_f=6, pixels_s=4),
        sampling=SamplingConfig(mask_file=mask(tmp_path)),
        output=OutputConfig(header_file=mask(tmp_path)),
    )
    inputs = read_inputs(config)
    assert inputs.matrix[2].tolist() == [7.0, 8.0, 10.0]
    assert inputs.grid.values.ravel().tolist() == [5.0, 6.0]
    assert inputs.grid.default_F == 2.0
    assert inputs.grid_file == config.crystal.hkl_file
    assert not inputs.grid_from_dump
    assert inputs.sources.shape == (1, 5)
    assert inputs.mask.shape == (4, 6)
    assert np.argwhere(~inputs.mask).tolist() == [[1, 2]]
    assert inputs.mask_header.twotheta == inputs.image_header.twotheta == 3.0


@pytest.mark.parametrize("field", ["matrix_file", "hkl_file"])
def test_a_missing_file_is_refused(tmp_path, field):
    with pytest.raises(FileFormatError, match=r"missing: unable to open: No such file"):
        read_inputs(crystal(**{field: str(tmp_path / "missing")}))


def test_default_F_of_nan_is_refused(tmp_path):
    with pytest.raises(InputError, match="default_F"):
        read_inputs(crystal(hkl_file=table(tmp_path), default_F=float("nan")))


def test_a_table_in_python_takes_the_place_of_files(tmp_path):
    inputs = read_inputs(crystal(structure_factors=object(), hkl_file=str(tmp_path / "missing")))
    assert inputs.grid is None


class TestDump:
    """specs: structure_factors 1."""

    def test_present_dump_is_read_when_there_is_no_table(self, tmp_path):
        inputs = read_inputs(crystal(use_dump=True, dump_file=dump(tmp_path), default_F=3.0))
        assert inputs.grid_from_dump
        assert (inputs.grid.values == 8.0).all()
        assert inputs.grid.default_F == 3.0

    def test_absent_dump_is_no_error_on_the_command_line(self, tmp_path):
        assert read_inputs(crystal(use_dump=True, dump_file=str(tmp_path / "none"))).grid is None

    def test_python_reads_a_dump_only_if_named(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_dump("Fdump.bin", ReflectionGrid(np.ones((1, 1, 1)), (0, 0, 0), 1))
        assert read_inputs(crystal()).grid is None
        assert read_inputs(crystal(dump_file="Fdump.bin")).grid_from_dump
        with pytest.raises(FileFormatError, match="unable to open"):
            read_inputs(crystal(dump_file="other.bin"))

    def test_default_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert dump_file(CrystalConfig()) == "Fdump.bin"
        config = crystal(use_dump=True, hkl_file=table(tmp_path))
        assert write_dump_for(config, read_inputs(config)) == "Fdump.bin"
        assert read_inputs(crystal(use_dump=True)).grid.values.ravel().tolist() == [5.0, 6.0]

    def test_a_table_overwrites_the_dump(self, tmp_path):
        config = crystal(use_dump=True, dump_file=dump(tmp_path), hkl_file=table(tmp_path))
        inputs = read_inputs(config)
        assert not inputs.grid_from_dump
        assert read_dump(config.crystal.dump_file).values.shape == (2, 2, 2)
        assert write_dump_for(config, inputs) == config.crystal.dump_file
        assert read_dump(config.crystal.dump_file).values.shape == (2, 1, 1)

    def test_nothing_is_written_from_python_or_from_a_dump(self, tmp_path):
        named = crystal(dump_file=str(tmp_path / "new"), hkl_file=table(tmp_path))
        assert write_dump_for(named, read_inputs(named)) is None
        read = crystal(use_dump=True, dump_file=dump(tmp_path))
        assert write_dump_for(read, read_inputs(read)) is None
        assert not (tmp_path / "new").exists()

    def test_a_dump_that_cannot_be_written_is_an_input_error(self, tmp_path):
        config = crystal(use_dump=True, dump_file=str(tmp_path / "no" / "F"), hkl_file=table(tmp_path))
        with pytest.raises(InputError, match="-dump: "):
            write_dump_for(config, read_inputs(config))


def test_amplitudes_come_from_somewhere(tmp_path):
    assert not has_amplitudes(CrystalConfig())
    assert not has_amplitudes(CrystalConfig(use_dump=True, dump_file=str(tmp_path / "none")))
    assert has_amplitudes(CrystalConfig(default_F=100.0))
    assert has_amplitudes(CrystalConfig(hkl_file="any"))
    assert has_amplitudes(CrystalConfig(use_dump=True, dump_file=dump(tmp_path)))


def test_a_mask_of_another_size_is_refused(tmp_path):
    """specs: deviations D14."""
    config = Config(sampling=SamplingConfig(mask_file=mask(tmp_path)))
    assert read_inputs(config).mask is not None
    other = replace(config, detector=DetectorConfig(pixels_f=7))
    with pytest.raises(InputError, match=r"6 x 4 pixels, the detector 7 x 4; use a mask of"):
        read_inputs(other)


def test_default_F_may_be_a_tensor(tmp_path):
    torch = pytest.importorskip("torch")
    value = torch.tensor(4.0, requires_grad=True)
    assert read_inputs(crystal(hkl_file=table(tmp_path), default_F=value)).grid.default_F == 4.0
