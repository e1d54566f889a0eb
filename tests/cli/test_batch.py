"""Batches of command lines: each is run and reported, and none stops or spoils the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanobrag_torch.cli import batch
from nanobrag_torch.cli.batch import Job, jobs
from nanobrag_torch.cli.main import main
from nanobrag_torch.errors import FileFormatError

SCENE = "-cell 40 45 50 -default_F 50 -N 4 -detpixels 12 -pixel 4 -oversample 1 -nonoise -nopgm -seed 1"
QUIET = ["-batch", "jobs.txt", "-quiet", *SCENE.split()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which everything happens."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(here: Path) -> list[str]:
    return sorted(path.name for path in here.iterdir() if path.name != "jobs.txt")


def lines(name: Path) -> list[Job]:
    return list(jobs(str(name)))


def test_every_line_is_run_and_reported(here: Path, capfd: Any) -> None:
    (here / "jobs.txt").write_text("# two images\n-floatfile a.bin -intfile a.img\n\n-floatfile b.bin -intfile b.img\n")
    assert main(QUIET) == 0
    assert written(here) == ["a.bin", "a.img", "b.bin", "b.img"]
    out = capfd.readouterr().out.splitlines()
    assert out[0] == "batch line 2: -floatfile a.bin -intfile a.img"
    assert out[1].startswith("batch line 2: status 0, ")
    assert out[2] == "batch line 4: -floatfile b.bin -intfile b.img"
    assert [line.split()[:2] for line in out[5:8]] == [["line", "status"], ["2", "0"], ["4", "0"]]
    assert out[-1] == "all 2 command lines of jobs.txt succeeded"


def test_a_line_is_what_it_is_alone(here: Path) -> None:
    (here / "jobs.txt").write_text(f"{SCENE} -floatfile a.bin -intfile a.img\n{SCENE} -floatfile b -intfile b.img\n")
    assert main(["-batch", "jobs.txt"]) == 0
    assert main([*SCENE.split(), "-floatfile", "c", "-intfile", "c.img"]) == 0
    assert (here / "a.bin").read_bytes() == (here / "b").read_bytes() == (here / "c").read_bytes()


def test_a_failing_line_stops_no_other(here: Path, capfd: Any) -> None:
    (here / "jobs.txt").write_text(
        "-floatfile a.bin -intfile a.img\n"
        "-lambda abc\n"
        "-floatfile no/b.bin\n"
        "-unknown\n"
        "-hkl missing.hkl -floatfile d.bin -intfile d.img\n"
        "-floatfile 'c.bin -intfile c.img\n"
        "-floatfile e.bin -intfile e.img\n"
    )
    assert main(QUIET) == 9
    assert written(here) == ["a.bin", "a.img", "e.bin", "e.img"]
    found = capfd.readouterr()
    for message in (
        "jobs.txt line 2: -lambda: 'abc' is not a number",
        "jobs.txt line 3: -floatfile: no/b.bin cannot be written: its folder does not exist",
        "jobs.txt line 4: -unknown: unknown flag",
        "jobs.txt line 5: -hkl missing.hkl: unable to open",
        "jobs.txt line 6: no closing quotation: -floatfile 'c.bin",
        "5 of 7 command lines of jobs.txt failed: line 2, 3, 4, 5, 6",
    ):
        assert f"nanobrag: {message}" in found.err
    assert found.out.count("status 9") == 5
    assert found.out.count("status 0") == 2


def test_a_line_does_not_overwrite_what_another_has_written(here: Path, capfd: Any) -> None:
    (here / "jobs.txt").write_text(
        "-lambda 1\n-lambda 2\n-lambda 2 -floatfile b -intfile b.img\n-quiet -floatfile ./b\n"
    )
    assert main(QUIET) == 9
    assert written(here) == ["b", "b.img", "floatimage.bin", "intimage.img"]
    err = capfd.readouterr().err
    assert "line 2: floatimage.bin is the file of line 1 too, and would overwrite it; name another one" in err
    assert "line 4: ./b is the file of line 3 too" in err


def test_a_line_that_failed_holds_no_names(here: Path) -> None:
    (here / "jobs.txt").write_text("-lambda 1 -device nonsense\n-lambda 1\n")
    assert main(QUIET) == 9
    assert written(here) == ["floatimage.bin", "intimage.img"]


def test_a_series_in_a_batch(here: Path) -> None:
    (here / "jobs.txt").write_text("-osc 1 -frames 2 -cbf out_##.cbf\n-osc 1 -frames 2 -cbf out_##.cbf\n")
    assert main(QUIET) == 0
    assert written(here) == ["out.series", "out_01.cbf", "out_02.cbf"]


def test_the_words_of_a_line_come_last(here: Path) -> None:
    (here / "jobs.txt").write_text("-floatfile a.bin -detpixels 8\n")
    assert main([*QUIET, "-intfile", "a.img"]) == 0
    assert (here / "a.bin").stat().st_size == 8 * 8 * 4


def test_a_fault_of_the_program_takes_nothing_with_it(here: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(words: list[str], where: str, files: object) -> int:
        if "-bad" in words:
            raise ZeroDivisionError("a fault")
        print("fine")
        return 0

    (here / "jobs.txt").write_text("-bad\n-good\n")
    assert batch.run_batch(["-batch", "jobs.txt"], faulty) == 70
    found = capfd.readouterr()
    assert "jobs.txt line 1: failed: ZeroDivisionError: a fault; this is a fault of the program" in found.err
    assert "Traceback" not in found.err
    assert "fine" in found.out


def test_an_interruption_ends_the_batch(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*words: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nanobrag_torch.cli.main._run", interrupted)
    (here / "jobs.txt").write_text("-lambda 1\n-lambda 2\n")
    assert main(QUIET) == 130


@pytest.mark.parametrize(
    ("words", "content", "message"),
    [
        (["-batch"], "", "-batch: a file was expected; write -batch file"),
        (["-batch", "-quiet"], "", "-batch: a file was expected"),
        (["-batch", "jobs.txt", "-batch", "jobs.txt"], "-lambda 1", "-batch: is given twice; name one file"),
        (["-batch", "no.txt"], "", "no.txt: unable to open: No such file"),
        (["-batch", "jobs.txt"], "# nothing\n\n", "jobs.txt: holds no command line"),
        (["-batch", "jobs.txt"], "-batch other.txt", "jobs.txt line 1: -batch: a batch cannot hold another one"),
        (["-batch", "jobs.txt"], "bare", "jobs.txt line 1: 'bare': belongs to no flag"),
    ],
)
def test_what_cannot_be_a_batch(here: Path, capfd: Any, words: list[str], content: str, message: str) -> None:
    (here / "jobs.txt").write_text(content)
    assert main(words) == 9
    assert capfd.readouterr().err.startswith(f"nanobrag: {message}")


def test_help_wins(capfd: Any) -> None:
    assert main(["-batch", "no.txt", "--help"]) == 0
    assert "usage" in capfd.readouterr().out


def test_words_are_quoted_as_for_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "jobs"
    path.write_bytes(
        b"\xef\xbb\xbf-hkl 'my file.hkl' # don't\r\n"
        b"  # it's a comment\n"
        b'-cbf out_#####.cbf -png "a # b.png"#c\n'
        b"-mat a\\ b\\# #\n"
        b"-floatfile \xc3\xa9.bin"
    )
    assert lines(path) == [
        Job(1, ("-hkl", "my file.hkl")),
        Job(3, ("-cbf", "out_#####.cbf", "-png", "a # b.png#c")),
        Job(4, ("-mat", "a b#")),
        Job(5, ("-floatfile", "é.bin")),
    ]


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="unable to open"):
        lines(tmp_path / "no")
