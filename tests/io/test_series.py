"""Names of numbered files, and the record of a series: what counts as finished, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import WholeFiles
from nanobrag_torch.io.series import Identity, Written, numbered, opened, record_name

IDENTITY = Identity(3, {"osc_deg": "1.0"}, 5, None, "1.2", "tag")


@pytest.mark.parametrize(
    ("name", "frames", "expected"),
    [
        ("out.cbf", 90, "out_00007.cbf"),
        ("out_#####.cbf", 90, "out_00007.cbf"),
        ("out_###.cbf", 90, "out_007.cbf"),
        ("#.img", 9, "7.img"),
        ("a#b_##.img", 10, "a#b_07.img"),
        ("some#folder/out", 10, "some#folder/out_00007"),
        ("two.dots.img", 10, "two.dots_00007.img"),
        ("out.cbf", 200_000, "out_000007.cbf"),
    ],
)
def test_numbered(name, frames, expected):
    assert numbered(name, 7, frames) == expected


def test_a_template_without_room():
    assert numbered("out_##.cbf", 99, 99) == "out_99.cbf"
    with pytest.raises(InputError, match="2 digits cannot count 100 frames"):
        numbered("out_##.cbf", 1, 100)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out_#####.cbf", "out.series"),
        ("data/sweep.nxs", "data/sweep.series"),
        ("###.img", "frames.series"),
        ("mine.series", "mine.series.series"),
        ("two.dots_##.img", "two.dots.series"),
    ],
)
def test_record_name(name, expected):
    assert record_name(name) == expected


def finish(record, folder: Path, frame: int, text: str = "image") -> None:
    """Write the one file of a frame."""
    tag = record.identity.tag
    whole = WholeFiles(lambda complete: record.finish(frame, complete), tag)
    with whole as files, files.file(folder / f"{frame}.img") as file:
        file.write(text.encode())


def series(folder: Path, frames: int = 2) -> Path:
    """A record with some finished frames."""
    path = folder / "out.series"
    with opened(path) as record:
        record.begin(IDENTITY)
        for frame in range(1, frames + 1):
            finish(record, folder, frame)
    return path


def test_what_is_written_is_read_again(tmp_path):
    with opened(series(tmp_path)) as record:
        assert record.identity == IDENTITY
        assert set(record.frames) == {1, 2}
        assert record.problem(1, [str(tmp_path / "1.img")]) == ""


def test_a_record_that_nothing_was_written_to_is_removed(tmp_path):
    with opened(tmp_path / "out.series") as record:
        assert record.identity is None
    assert not list(tmp_path.iterdir())


def test_a_series_without_finished_frames_can_be_forgotten(tmp_path):
    with opened(tmp_path / "out.series") as record:
        record.begin(IDENTITY)
        record.abandon()
    assert not list(tmp_path.iterdir())
    with opened(series(tmp_path)) as record:
        record.abandon()
    assert (tmp_path / "out.series").read_bytes()


def test_the_record_comes_before_the_file(tmp_path):
    seen = []
    with opened(tmp_path / "out.series") as record:
        record.begin(IDENTITY)

        def look(complete):
            record.finish(1, complete)
            seen.append(("1.img" in record.frames[1], (tmp_path / "1.img").exists()))

        with WholeFiles(look) as files, files.file(tmp_path / "1.img") as file:
            file.write(b"x")
    assert seen == [(True, False)]


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_last_line_cut_short_was_not_written(tmp_path, cut):
    path = series(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with opened(path) as record:
        assert set(record.frames) == {1}
        finish(record, tmp_path, 2)
    assert len(path.read_bytes().splitlines()) == 3
    with opened(path) as record:
        assert set(record.frames) == {1, 2}


def test_a_first_line_cut_short_is_no_series_yet(tmp_path):
    path = series(tmp_path, 0)
    for size in (1, 9, 60):
        content = path.read_bytes()
        path.write_bytes(content[:size])
        with opened(path) as record:
            assert record.identity is None
            record.begin(IDENTITY)
        assert path.read_bytes() == content


def damage(path: Path, line: int, text: bytes) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:line], text, *lines[line + 1 :]]))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (0, b"{}\n"),
        (0, b'{"kind": "nanobrag_torch series", "format": 2}\n'),
        (0, b"[1, 2]\n"),
        (1, b"rubbish\n"),
        (1, b'{"frame": "x", "files": {}}\n'),
        (1, b'{"frame": 1, "files": {"a": {}}}\n'),
        (2, b"\xff\xfe\n"),
    ],
)
def test_a_damaged_record_is_named_and_kept(tmp_path, line, text):
    path = series(tmp_path)
    damage(path, line, text)
    content = path.read_bytes()
    message = rf"out.series: line {line + 1}: not the record of a series"
    with pytest.raises(FileFormatError, match=message), opened(path):
        pass
    assert path.read_bytes() == content


def test_a_foreign_file_is_kept(tmp_path):
    path = tmp_path / "out.series"
    path.write_bytes(b"not mine")
    with pytest.raises(FileFormatError, match="not the record of a series"), opened(path):
        pass
    assert path.read_bytes() == b"not mine"


def test_one_process_at_a_time(tmp_path):
    path = series(tmp_path)
    with opened(path), pytest.raises(InputError, match="another process is drawing"), opened(path):
        pass
    with opened(path) as record:
        assert set(record.frames) == {1, 2}


def test_a_place_that_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match="No such file"), opened(tmp_path / "no" / "out.series"):
        pass


def test_what_happened_to_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"image")
    written = Written.of(path)
    assert written.problem(path) == ""
    os.utime(path, (1, 1))
    assert written.problem(path) == ""
    path.write_bytes(b"IMAGE")
    os.utime(path, (1, 1))
    assert written.problem(path) == "has another content than was written"
    path.write_bytes(b"imag")
    assert written.problem(path) == "has 4 bytes instead of 5"
    path.unlink()
    assert written.problem(path) == "is missing"


def test_a_frame_lacks_a_file_that_was_not_asked_for(tmp_path):
    with opened(series(tmp_path)) as record:
        assert record.problem(1, [str(tmp_path / "1.png")]).endswith("1.png is not on record")


def test_names_count_from_the_record_so_that_a_series_can_be_moved(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    series(old)
    old.rename(new)
    with opened(new / "out.series") as record:
        assert record.problem(2, [str(new / "2.img")]) == ""


def test_parts_of_a_killed_process_are_removed(tmp_path):
    path = series(tmp_path)
    for name in (".nanobrag-tag12-ab.part", ".nanobrag-other12-ab.part", "mine.part"):
        (tmp_path / name).write_bytes(b"x")
    with opened(path) as record:
        record.tidy({tmp_path})
    assert sorted(x.name for x in tmp_path.glob("*.part")) == [".nanobrag-other12-ab.part", "mine.part"]


def test_a_full_disk_leaves_the_record_as_it_was(tmp_path, monkeypatch):
    path = series(tmp_path, 1)
    content = path.read_bytes()
    write = os.write
    with opened(path) as record:
        monkeypatch.setattr("os.write", lambda descriptor, text: write(descriptor, text[:10]))
        with pytest.raises(InputError, match="out.series cannot be written: No space left"):
            finish(record, tmp_path, 2)
        monkeypatch.undo()
    assert path.read_bytes() == content
    assert not (tmp_path / "2.img").exists()
    assert not list(tmp_path.glob(".*"))


def test_the_difference_between_two_commands():
    assert IDENTITY.difference({"osc_deg": "1.0"}) is None
    assert IDENTITY.difference({"osc_deg": "2.0"}) == ("osc_deg", "1.0", "2.0")
    assert IDENTITY.difference({}) == ("osc_deg", "1.0", "not given")
    assert IDENTITY.difference({"osc_deg": "1.0", "Na": "3"}) == ("Na", "not given", "3")


def test_the_record_is_text_of_one_object_per_line(tmp_path):
    first, *frames = [json.loads(line) for line in series(tmp_path).read_text("ascii").splitlines()]
    assert first["noise_seed"] == 5
    assert [line["frame"] for line in frames] == [1, 2]
    assert frames[0]["files"]["1.img"]["size"] == 5
