"""Data sets on disk: resumed, verified, independent of workers and format; nothing half, nothing touched."""

from __future__ import annotations

import json
import os
import resource
import signal

import numpy as np
import pytest

from nanobrag_torch.dataset import main as command
from nanobrag_torch.dataset.images import Maker
from nanobrag_torch.dataset.reading import read_population
from nanobrag_torch.dataset.shards import open_shard

pytest.importorskip("zarr")


def run(*words):
    return command.main([str(word) for word in words])


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("suffix", ["tar", "h5", "zarr"])
def test_every_format_gives_back_what_was_made(write, tmp_path, suffix):
    path = write(("s-##.tar", f"s-##.{suffix}"))
    assert run("make", path, "-o", tmp_path / "set") == 0
    maker = Maker(read_population(path))
    number = 0
    for shard in (0, 1, 2):
        found = open_shard(tmp_path / "set" / f"s-0{shard}.{suffix}")
        for stored, made in zip((found[i] for i in range(len(found))), maker.samples(found.numbers), strict=True):
            assert stored.number == number
            number += 1
            assert stored.parameters == made.parameters
            assert stored.image.dtype == np.uint16
            for name, values in {"image": made.image, **made.reflections, **made.extra}.items():
                back = {"image": stored.image, **stored.reflections, **stored.extra}[name]
                assert back.dtype == values.dtype
                assert np.array_equal(back, values), name
    assert number == 7
    assert run("verify", tmp_path / "set", "--sample", 2) == 0


def test_resumed(write, tmp_path, capsys):
    path, folder = write(), tmp_path / "set"
    assert run("make", path, "-o", folder) == 0
    before = files(folder)
    # What a killed process can leave: no record, half a file, a half written record of the whole.
    (folder / "s-01.tar.json").unlink()
    (folder / "s-01.tar").write_bytes(b"half")
    (folder / ".nanobrag-dataset-77-aa.part").write_bytes(b"half")
    kept = os.stat(folder / "s-00.tar")
    assert run("make", path, "-o", folder) == 0
    assert "1 to make" in capsys.readouterr().out
    assert files(folder) == before
    assert os.stat(folder / "s-00.tar").st_mtime_ns == kept.st_mtime_ns


@pytest.mark.parametrize("suffix", ["tar", "h5"])
def test_no_room_for_a_shard(write, tmp_path, capsys, suffix):
    """The system refuses to write on, as on a full disk: one line, no part of the shard, the others as they were."""
    path, folder = write(("s-##.tar", f"s-##.{suffix}")), tmp_path / "set"
    assert run("make", path, "-o", folder) == 0
    before = files(folder)
    (folder / f"s-01.{suffix}").unlink()
    (folder / f"s-01.{suffix}.json").unlink()
    left = files(folder)
    capsys.readouterr()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        assert run("make", path, "-o", folder) == 9
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert f"s-01.{suffix} cannot be written: File too large; free some space" in capsys.readouterr().err
    assert files(folder) == left
    assert run("make", path, "-o", folder) == 0
    assert files(folder) == before


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("seed: 7", "seed: 8", "seed = 7, not 8"),
        ("distance_mm: 100", "distance_mm: 101", "scene.distance_mm = 100, not 101"),
        ("images: 7", "images: 9", "images = 7, not 9"),
        ("images: 3", "images: 4", "shards.images = 3, not 4"),
        ("masks: true", "masks: false", "labels.masks = True, not False"),
    ],
)
def test_another_description(write, tmp_path, capsys, old, new, problem):
    assert run("make", write(), "-o", tmp_path / "set") == 0
    before = files(tmp_path / "set")
    assert run("make", write((old, new)), "-o", tmp_path / "set") == 9
    assert problem in capsys.readouterr().err
    assert files(tmp_path / "set") == before


def test_another_version(write, tmp_path, capsys):
    assert run("make", write(), "-o", tmp_path / "set") == 0
    path = tmp_path / "set" / "manifest.json"
    path.write_text(path.read_text().replace('"nanobrag_torch": "', '"nanobrag_torch": "0.0.'))
    assert run("make", write(), "-o", tmp_path / "set") == 9
    assert "was begun by version 0.0." in capsys.readouterr().err


def test_a_folder_of_something_else(write, tmp_path, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").write_text("mine")
    assert run("make", write(), "-o", tmp_path / "set") == 9
    assert "holds thesis.tex and no manifest" in capsys.readouterr().err


def test_damage_is_found(write, tmp_path, capsys):
    assert run("make", write(), "-o", tmp_path / "set") == 0
    shard = tmp_path / "set" / "s-01.tar"
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    assert run("verify", tmp_path / "set", "--sample", 0) == 9
    assert "s-01.tar has another checksum" in capsys.readouterr().err
    shard.write_bytes(content[:-1])
    assert run("make", write(), "-o", tmp_path / "set") == 9
    assert "somebody changed it" in capsys.readouterr().err
    shard.unlink()
    assert run("verify", tmp_path / "set", "--sample", 0) == 9
    assert run("make", write(), "-o", tmp_path / "set") == 0
    assert run("verify", tmp_path / "set", "--sample", 3) == 0


def test_workers_and_shard_size_change_no_bit(write, tmp_path):
    pytest.importorskip("distributed")
    assert run("make", write(), "-o", tmp_path / "here") == 0
    assert run("make", write(), "-o", tmp_path / "there", "--workers", 2) == 0
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert run("make", write(("images: 3", "images: 5")), "-o", tmp_path / "other") == 0
    one, other = (open_shard(tmp_path / name / "s-01.tar") for name in ("here", "other"))
    assert one.numbers[2] == other.numbers[0] == 5
    assert np.array_equal(one[2].image, other[0].image)


def test_the_manifest_says_everything(write, tmp_path):
    assert run("make", write(), "-o", tmp_path / "set") == 0
    found = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert found["complete"] is True
    assert found["description"] == write().read_text()
    assert [shard["images"] for shard in found["shards"]] == [[0, 3], [3, 6], [6, 7]]
    assert {"torch", "numpy", "nanobrag_torch"} <= set(found["versions"])


def test_words(write, tmp_path, capsys):
    assert run("--help") == 0
    assert run("make") == 9
    assert run("make", tmp_path / "none.yaml", "-o", tmp_path / "x") == 9
    assert run("make", write(), "-o", tmp_path / "x", "--workers", 1, "--scheduler", "tcp://a:1") == 9
    assert run("make", write(), "-o", tmp_path / "x", "--slurm", "short") == 9
    assert run("verify", tmp_path / "x") == 9
    assert "--slurm: 'short' is not of the form" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_look(write, tmp_path, capsys):
    assert run("make", write(), "-o", tmp_path / "set") == 0
    assert run("look", tmp_path / "set", "--images", 4) == 0
    page = (tmp_path / "set" / "look.html").read_text()
    assert page.count("data:image/png") == 2
    numbers = json.loads((tmp_path / "set" / "look.json").read_text())["parameters"]
    assert numbers["lattices"]["count"] == 7
    assert 0 < numbers["partiality"]["mean"] < 1
    assert run("verify", tmp_path / "set") == 0
    assert run("look", tmp_path) == 9
    assert "manifest.json" in capsys.readouterr().err
