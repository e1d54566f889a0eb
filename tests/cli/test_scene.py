"""Scenes as files: what a command line says, written, read, and drawn again bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

SCENE = "-hkl P1.hkl -mosaic_spread 0.5 -mosaic_domains 3 -misset random -phi 3 -osc 1 -phisteps 2"


def counts(path):
    from nanobrag_torch.io.cbf import read_cbf
    from nanobrag_torch.io.nexus import read_nexus

    return read_cbf(path)[0] if path.suffix == ".cbf" else read_nexus(path).data


@pytest.mark.parametrize("physics", ["nanobragg", "exact"])
@pytest.mark.parametrize("first", ["image.nxs", "image.cbf", "scene.toml"])
def test_an_image_is_drawn_again_bit_for_bit(first, physics, run):
    flag = {"nxs": "-nexus", "cbf": "-cbf", "toml": "-save_scene"}[first.rpartition(".")[2]]
    begun = run.small(f"{SCENE} -noisefile n.img -floatfile a.bin -physics {physics} {flag} {first}")
    assert begun.status == 0, begun.err
    again = run(f"-scene {begun.folder}/{first} -floatfile b.bin -noisefile m.img -intfile b.img -nopgm -quiet")
    assert again.status == 0, again.err
    assert again.image(12, 12, "b.bin").tobytes() == begun.image(12, 12, "a.bin").tobytes()
    assert again.image(12, 12, "b.bin").max() > 0
    assert (begun.folder / "n.img").read_bytes() == (again.folder / "m.img").read_bytes()


@pytest.mark.parametrize("name", ["image.nxs", "image.cbf"])
def test_counts_with_noise_come_back(name, run):
    flag = "-nexus" if name.endswith("nxs") else "-cbf"
    begun = run.small(f"{SCENE} -noisefile n.img {flag} {name}")
    again = run(f"-scene {begun.folder}/{name} {flag} other{name} -quiet")
    assert again.status == 0, again.err
    assert np.array_equal(counts(begun.folder / name), counts(again.folder / f"other{name}"))


def test_flags_override_a_scene_wherever_they_stand(run):
    saved = run.small("-hkl P1.hkl -save_scene scene.toml -misset random -mosaic_spread 0.5").folder / "scene.toml"
    changed = run(f"-lambda 1.3 -scene {saved} -misset 1 2 3 -floatfile a.bin -quiet")
    direct = run.small("-hkl P1.hkl -mosaic_spread 0.5 -lambda 1.3 -misset 1 2 3 -floatfile b.bin -quiet")
    assert (changed.status, direct.status) == (0, 0)
    assert changed.image(12, 12, "a.bin").tobytes() == direct.image(12, 12, "b.bin").tobytes()
    assert changed.image(12, 12, "a.bin").max() > 0
    text = saved.read_text()
    assert "misset_seed = " in text
    assert "noise_seed = 1" in text


def test_the_flag_may_be_left_out(run):
    first = run.small(f"{SCENE} -save_scene scene.toml -floatfile a.bin")
    second = run(f"{first.folder}/scene.toml -floatfile b.bin -quiet")
    assert second.status == 0, second.err
    assert first.image(12, 12, "a.bin").tobytes() == second.image(12, 12, "b.bin").tobytes()


def test_a_frame_of_a_series_is_drawn_again(run):
    begun = run.small(f"{SCENE} -frames 3 -cbf f_#.cbf -nexus all.nxs -noisefile n_#.img")
    assert begun.status == 0, begun.err
    again = run(f"-scene {begun.folder}/f_2.cbf -cbf g.cbf -quiet")
    assert again.status == 0, again.err
    assert np.array_equal(counts(begun.folder / "f_2.cbf"), counts(again.folder / "g.cbf"))
    whole = run(f"-scene {begun.folder}/all.nxs -nexus more.nxs -quiet")
    assert whole.status == 0, whole.err
    assert np.array_equal(counts(begun.folder / "all.nxs"), counts(whole.folder / "more.nxs"))


def test_what_a_file_carries(run):
    from nanobrag_torch import __version__
    from nanobrag_torch.io.nexus import read_nexus

    made = read_nexus(run.small(f"{SCENE} -nexus a.nxs").folder / "a.nxs").made
    assert f'program = "nanobrag_torch {__version__}"' in made
    assert 'command = "nanobrag -cell 40 45 50' in made
    assert "torch = " in made
    assert "a.nxs" not in made.partition("[crystal]")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[crystal]\ncell_a = 'x'\n", "nanobrag: -scene wrong.toml: line 2: 'x' is not a number\n"),
        ("[crystal]\ncell_a = 40.0\ndefault_F = 1.0\n[beam]\nwavelength_A = -1\n", "nanobrag: -scene wrong.toml: -1"),
    ],
)
def test_a_wrong_scene_is_one_line(text, message, run):
    run.more["wrong.toml"] = text
    outcome = run("-scene wrong.toml -quiet")
    assert outcome.status == 9
    assert outcome.err.startswith(message)
    assert outcome.err.count("\n") == 1


def test_a_file_without_a_scene_is_refused(run):
    run.more["a.json"] = "{}"
    outcome = run("-scene a.json")
    assert outcome.status == 9
    assert outcome.err == "nanobrag: -scene a.json: carries no scene: it was not written by a command of nanobrag\n"
    assert run("-scene missing.toml").status == 9


def test_a_scene_never_overwrites_what_it_was_read_from(run):
    first = run.small("-nexus a.nxs")
    before = (first.folder / "a.nxs").read_bytes()
    outcome = run(f"-scene {first.folder}/a.nxs -nexus {first.folder}/a.nxs")
    assert outcome.status == 9
    assert (first.folder / "a.nxs").read_bytes() == before
