from __future__ import annotations

import sys

import pytest

from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity import programs
from nanobrag_torch.parity.programs import checksum, find_c_program, our_command


def script(path, text: str):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_a_named_program_comes_before_the_variable(tmp_path):
    one, other = script(tmp_path / "one", "echo one"), script(tmp_path / "other", "echo other")
    assert find_c_program(str(one), {"NB_C_BIN": str(other)}).path == one
    assert find_c_program(None, {"NB_C_BIN": str(other)}).path == other


def test_the_reference_is_known_by_its_name(c_program, tmp_path):
    original = find_c_program(str(script(tmp_path / "nanoBragg", "echo nanoBragg nanocrystal simulator; exit 9")))
    assert not original.is_reference
    assert original.version.startswith("nanoBragg nano")
    assert len(original.sha256) == 64
    assert find_c_program(None, {}).is_reference


def test_a_name_that_is_no_program(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with pytest.raises(ParityError, match="--c-bin names /nowhere"):
        find_c_program("/nowhere")
    with pytest.raises(ParityError, match="NB_C_BIN names .*plain"):
        find_c_program(None, {"NB_C_BIN": str(plain)})


def test_without_any_the_message_says_how_to_build(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "REFERENCE", tmp_path / "not/built")
    with pytest.raises(ParityError, match="make -C golden_suite_generator.*NB_C_BIN"):
        find_c_program(None, {})


def test_without_a_compiler_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "REFERENCE", tmp_path / "not/built")
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    with pytest.raises(ParityError, match="needs gcc or clang"):
        find_c_program(None, {})


def test_a_file_that_cannot_run(tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    with pytest.raises(ParityError, match="cannot be run"):
        find_c_program(str(broken))


def test_our_side():
    assert our_command() == (sys.executable, "-P", "-m", "nanobrag_torch")
    assert our_command("ssh 'other host' nanobrag") == ("ssh", "other host", "nanobrag")


def test_checksum(tmp_path):
    (tmp_path / "empty").touch()
    assert checksum(tmp_path / "empty").startswith("e3b0c44298fc1c14")
