from __future__ import annotations

import os
import stat

import pytest

from nanobrag_torch.errors import FileFormatError, InputError
from nanobrag_torch.io.files import WholeFiles, check_writable, part_pattern, read_bytes, read_lines, whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path):
    with whole_file(tmp_path / "a") as file:
        file.write(b"new")
        assert "a" not in names(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


def fail_while_writing(file):
    file.write(b"half")
    raise ZeroDivisionError


def test_an_existing_file_survives_a_failure(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as file:
        fail_while_writing(file)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_is_an_input_error_that_names_the_flag(tmp_path):
    with (
        pytest.raises(InputError, match=r"-floatfile: .*No space left.*free some space"),
        whole_file(tmp_path / "a", "-floatfile"),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


def write_two(files, folder, write_second):
    with files.file(folder / "a") as file:
        file.write(b"new")
    with files.file(folder / "b") as file:
        write_second(file)


def test_several_files_appear_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), WholeFiles() as files:
        write_two(files, tmp_path, fail_while_writing)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]
    with WholeFiles() as files:
        write_two(files, tmp_path, lambda file: file.write(b"new"))
        assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"new"
    assert names(tmp_path) == ["a", "b"]


def test_a_link_stays_and_its_target_changes(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with whole_file(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_permissions_stay_and_new_files_have_the_usual_ones(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o640)
    for name in ("a", "b"):
        with whole_file(tmp_path / name) as file:
            file.write(b"new")
    (tmp_path / "usual").write_bytes(b"")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_device_is_written_and_not_replaced():
    with whole_file("/dev/null") as file:
        file.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_device_is_an_input_error():
    with pytest.raises(InputError, match="/dev/full cannot be written: No space left"), whole_file("/dev/full") as file:
        file.write(b"x")


def test_names_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"-intfile: .*folder does not exist; choose"):
        check_writable(tmp_path / "no" / "a", "-intfile")
    with pytest.raises(InputError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(InputError, match="folder does not exist"), whole_file(tmp_path / "no" / "a"):
        pass
    check_writable(tmp_path / "a")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_missing_permissions_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o400)
    with pytest.raises(InputError, match="permission denied"):
        check_writable(tmp_path / "a")
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission for its folder"):
        check_writable(tmp_path / "b")


def test_unreadable_files_are_named(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(FileFormatError, match="unable to open") as caught:
            read_bytes(path)
        assert caught.value.path == str(path)


def test_lines_end_in_any_way(tmp_path):
    (tmp_path / "a").write_bytes(b"one\r\ntwo\nthree\rfour\x0b\xe9")
    assert read_lines(tmp_path / "a") == ["one", "two", "three", "four\x0b\xe9"]


def test_files_are_announced_before_they_appear(tmp_path):
    seen = []
    with WholeFiles(lambda complete: seen.extend((x.read_bytes(), y, z, y.exists()) for x, y, z in complete)) as files:
        for name in "ab":
            with files.file(tmp_path / name, f"-{name}") as file:
                file.write(name.encode())
    assert seen == [(b"a", tmp_path / "a", "-a", False), (b"b", tmp_path / "b", "-b", False)]
    assert names(tmp_path) == ["a", "b"]


def test_a_failing_announcement_leaves_nothing(tmp_path):
    def fail(complete):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), WholeFiles(fail) as files, files.file(tmp_path / "a") as file:
        file.write(b"new")
    assert names(tmp_path) == []


def test_files_under_way_can_be_found_by_their_tag(tmp_path):
    with WholeFiles(tag="mine") as files, files.file(tmp_path / "a"):
        assert len(list(tmp_path.glob(part_pattern("mine")))) == 1
        assert not list(tmp_path.glob(part_pattern("other")))
