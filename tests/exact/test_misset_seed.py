"""specs: deviations F, D42: the seed of a random misset is that of the noise unless it has its own."""

from __future__ import annotations

import pytest

from nanobrag_torch.cli.main import with_seeds
from nanobrag_torch.errors import InputError


def test_seed_defaults_to_that_of_the_noise(scene):
    own = scene("exact", misset_random=True, misset_seed=5).crystal.misset
    shared = scene("exact", misset_random=True, noise_seed=5).crystal.misset
    assert own.tolist() == shared.tolist()
    other = scene("exact", misset_random=True, misset_seed=5, noise_seed=9).crystal.misset
    assert own.tolist() == other.tolist()


def test_a_scene_in_python_is_never_seeded_by_the_clock(scene):
    with pytest.raises(InputError, match="seed"):
        scene("exact", misset_random=True)


def test_command_line_shares_even_a_seed_from_the_clock(config):
    said = with_seeds(config(misset_random=True, physics="exact"), clock=1234)
    assert said.crystal.misset_seed == said.output.noise_seed == 1234
    said = with_seeds(config(misset_random=True, physics="exact", noise_seed=7), clock=1234)
    assert said.crystal.misset_seed == 7
    said = with_seeds(config(misset_random=True, physics="nanobragg", noise_seed=7), clock=1234)
    assert said.crystal.misset_seed == 1234
