from __future__ import annotations

import warnings
from dataclasses import fields, replace

import pytest
import torch

from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, OutputConfig, SamplingConfig, settle
from nanobrag_torch.errors import InputError, LegacyDefectWarning, NanobragWarning
from nanobrag_torch.models import Experiment

PLAIN = Config(
    crystal=CrystalConfig(cell_a=40.0, Na=4, Nb=4, Nc=4, default_F=10.0),
    detector=DetectorConfig(pixels_f=4, pixels_s=3),
    sampling=SamplingConfig(oversample=1),
)


def test_the_default_is_the_exact_physics():
    assert settle(PLAIN).physics == "exact"
    assert settle(PLAIN, physics="nanobragg").physics == "nanobragg"


def test_other_physics_are_refused():
    with pytest.raises(InputError, match="'real'.*nanobragg, exact"):
        settle(PLAIN, physics="real")


def test_a_plain_scene_warns_of_nothing_in_either_mode():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for physics in ("nanobragg", "exact"):
            assert not [note for note in settle(PLAIN, physics).notes if note.warns]


def test_defects_are_warned_of_with_their_identifier():
    triclinic = replace(PLAIN, crystal=replace(PLAIN.crystal, cell_alpha=80.0, cell_beta=95.0, cell_gamma=105.0))
    with pytest.warns(LegacyDefectWarning) as caught:
        settle(triclinic, "nanobragg")
    assert [str(w.message.identifier) for w in caught] == ["D26"]


def test_other_choices_warn_without_an_identifier():
    both = replace(PLAIN, detector=replace(PLAIN.detector, distance_mm=60.0, close_distance_mm=50.0))
    with pytest.warns(NanobragWarning, match="close distance") as caught:
        settle(both)
    assert not isinstance(caught[0].message, LegacyDefectWarning)


def test_values_are_checked_first():
    with pytest.raises(InputError, match="wavelength_A"):
        settle(replace(PLAIN, beam=BeamConfig(wavelength_A=-1.0)))


def test_in_the_exact_mode_the_misset_follows_the_noise_seed():
    """Deviations F, D42; without any seed the caller has to choose one."""
    drawn = replace(PLAIN, crystal=replace(PLAIN.crystal, misset_random=True))
    seeded = replace(drawn, output=OutputConfig(noise_seed=5))
    own = replace(drawn, crystal=replace(drawn.crystal, misset_seed=5))
    assert torch.equal(settle(seeded).crystal.misset, settle(own).crystal.misset)
    with pytest.raises(InputError, match="misset_seed"):
        settle(drawn)


def tensors(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [t for item in value for t in tensors(item)]
    if hasattr(value, "__dataclass_fields__"):
        return [t for f in fields(value) for t in tensors(getattr(value, f.name))]
    return []


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
def test_everything_settled_is_double_and_finite(physics):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NanobragWarning)
        found = tensors(replace(settle(PLAIN, physics), notes=(), facts={}))
    assert len(found) > 20
    for tensor in found:
        assert tensor.dtype == torch.float64
        assert torch.isfinite(tensor).all()


def test_settling_twice_gives_the_same_and_leaves_the_configuration_alone():
    drawn = replace(PLAIN, crystal=replace(PLAIN.crystal, misset_random=True, misset_seed=3, mosaic_spread_deg=1.0))
    before = repr(drawn)
    first, second = settle(drawn), settle(drawn)
    assert isinstance(first, Experiment)
    for a, b in zip(tensors(first.crystal), tensors(second.crystal), strict=True):
        assert torch.equal(a, b)
    assert repr(drawn) == before


@pytest.mark.parametrize("steps", [1, 3])
def test_a_scene_in_python_reads_and_writes_no_dump(tmp_path, monkeypatch, steps):
    """Deviation D58: a left-over dump counts on the command line only."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Fdump.bin").write_bytes(b"not a dump")
    scene = settle(replace(PLAIN, sampling=SamplingConfig(oversample=1, phi_steps=steps)))
    assert scene.crystal.structure_factors.values is None
    assert (tmp_path / "Fdump.bin").read_bytes() == b"not a dump"
