"""Rotation series: what the frames are, and that nothing stops them for good or spoils what is finished."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nanobrag_torch.cli.main import main
from nanobrag_torch.io import files as whole
from nanobrag_torch.io.cbf import read_cbf
from nanobrag_torch.io.nexus import read_nexus
from nanobrag_torch.io.series import opened
from nanobrag_torch.legacy_random import series_seed

SCENE = (
    "-cell 40 45 50 -misset 5 10 15 -default_F 50 -N 4 -detpixels 12 -pixel 4 -distance 100 -lambda 1.2 "
    "-oversample 1 -phi 3 -osc 0.7 -phisteps 3"
)
SCRIPT = Path(__file__).parents[2] / "scripts" / "check_series.py"


@dataclass
class Place:
    """A folder in which command lines are run one after the other."""

    folder: Path
    capfd: pytest.CaptureFixture[str]
    status: int = 0
    out: str = ""
    err: str = ""

    def __call__(self, words: str, status: int = 0) -> Place:
        """Run the small scene with more words; the status has to be as expected."""
        before = os.getcwd()
        os.chdir(self.folder)
        self.capfd.readouterr()
        try:
            self.status = main([*SCENE.split(), *words.split()])
        finally:
            os.chdir(before)
            self.out, self.err = self.capfd.readouterr()
        assert self.status == status, self.err
        return self

    @property
    def drawn(self) -> list[int]:
        """The frames that the last run has drawn."""
        return [int(line.split()[1]) for line in self.out.splitlines() if line.startswith("frame ")]

    def files(self) -> dict[str, bytes]:
        """The content of every file but the record."""
        return {p.name: p.read_bytes() for p in sorted(self.folder.iterdir()) if p.suffix != ".series"}

    def __truediv__(self, name: str) -> Path:
        """A file of the folder."""
        return self.folder / name


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[str], Place]:
    """Fresh folders to run in."""

    def make(name: str = "here") -> Place:
        (tmp_path / name).mkdir()
        return Place(tmp_path / name, capfd)

    return make


ALL = "-frames 4 -seed 5 -cbf out_#####.cbf -nexus sweep.nxs -noisefile noise.img -floatfile float.bin -png p.png"


def test_frames_are_the_single_images(place: Any) -> None:
    here = place()("-frames 3 -seed 5 -noisefile noise.img -floatfile float.bin -intfile int.img -scale 2")
    assert here.drawn == [1, 2, 3]
    names = [f"{stem}_0000{n}{end}" for stem, end in (("float", ".bin"), ("int", ".img"), ("noise", ".img"))
             for n in (1, 2, 3)]  # fmt: skip
    assert sorted(here.files()) == sorted(names)
    for n in (1, 2, 3):
        alone = place(f"alone{n}")
        phi, seed = 3.0 + (n - 1) * 0.7, series_seed(5, n - 1)
        alone(f"-phi {phi!r} -seed {seed} -noisefile n.img -floatfile f.bin -intfile i.img -scale 2 -nopgm")
        for single, frame in (("n.img", "noise"), ("f.bin", "float"), ("i.img", "int")):
            assert alone.files()[single] == here.files()[f"{frame}_0000{n}{Path(single).suffix}"]


def test_a_master_joins_the_frames(place: Any) -> None:
    here = place()("-frames 3 -seed 5 -nexus sweep.nxs -cbf c_##.cbf")
    assert sorted(here.files()) == [
        *(f"c_0{n}.cbf" for n in (1, 2, 3)), "sweep.nxs", *(f"sweep_0000{n}.nxs" for n in (1, 2, 3))
    ]  # fmt: skip
    found = read_nexus(here / "sweep.nxs")
    assert found.phi == pytest.approx([3.0, 3.7, 4.4])
    assert found.osc == pytest.approx(0.7)
    for n in (1, 2, 3):
        counts, header = read_cbf(here / f"c_0{n}.cbf")
        np.testing.assert_array_equal(found.data[n - 1], counts)
        assert header.number("Start_angle") == pytest.approx(3.0 + 0.7 * (n - 1), abs=1e-6)
        alone = read_nexus(here / f"sweep_0000{n}.nxs")
        np.testing.assert_array_equal(alone.data[0], counts)
        assert alone.phi == pytest.approx([found.phi[n - 1]])
    with h5py.File(here / "sweep.nxs") as file:
        assert file["/entry/data/data"].is_virtual
        assert file["/entry/data/data"].dtype == np.int32


def test_without_noise_the_master_holds_photons(place: Any) -> None:
    here = place()("-frames 2 -nexus sweep.nxs -floatfile float.bin -nonoise")
    floats = [np.fromfile(here / f"float_0000{n}.bin", np.float32).reshape(12, 12) for n in (1, 2)]
    np.testing.assert_array_equal(read_nexus(here / "sweep.nxs").data, floats)


def test_only_named_files_are_written(place: Any) -> None:
    assert sorted(place()("-frames 2 -pgmfile grey.pgm").files()) == ["grey_00001.pgm", "grey_00002.pgm"]
    assert sorted(place("other")("-frames 1 -floatfile f -nonoise -noisefile n -nonoise").files()) == ["f_00001"]


def test_the_same_command_again_does_nothing(place: Any) -> None:
    here = place()(ALL)
    before = {path: path.stat().st_mtime_ns for path in here.folder.iterdir()}
    assert "all 4 frames are there" in here(ALL).out
    assert {path: path.stat().st_mtime_ns for path in here.folder.iterdir()} == before


def test_two_runs_give_the_same_bytes(place: Any) -> None:
    assert place("one")(ALL).files() == place("other")(ALL + " -quiet -threads 2").files()


class Stop(BaseException):
    """An end at an arbitrary moment."""


def test_stopped_between_any_two_steps(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = place("undisturbed")(ALL)
    here, replace, write = place(), os.replace, os.write
    steps = 0

    def stopping(step: Callable[..., Any]) -> Callable[..., Any]:
        def made(*words: Any) -> Any:
            nonlocal steps
            steps -= 1
            if steps == 0:
                raise Stop
            return step(*words)

        return made

    monkeypatch.setattr(os, "replace", stopping(replace))
    monkeypatch.setattr(os, "write", stopping(write))
    drawn, stops = [], 0
    for limit in range(2, 40, 2):
        steps = limit
        try:
            here(ALL)
        except Stop:
            stops += 1
        drawn += here.drawn
        assert all(expected.files()[name] == content for name, content in here.files().items())
    monkeypatch.undo()
    assert stops > 3
    assert set(drawn) == {1, 2, 3, 4}
    assert len(drawn) == 4
    assert here(ALL).drawn == []
    assert here.files() == expected.files()


def test_killed_and_started_again() -> None:
    """Real kills of a real process at random moments; the script has a long form."""
    words = [sys.executable, str(SCRIPT), "--kills", "4", "--frames", "24", "--pixels", "50", "--long", "0"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills" in done.stdout


def test_only_missing_frames_are_drawn(place: Any) -> None:
    here = place()(ALL)
    expected = here.files()
    (here / "noise_00002.img").unlink()
    (here / "sweep_00004.nxs").unlink()
    assert here(ALL).drawn == [2, 4]
    assert "noise_00002.img is missing; it is made again" in here.err
    assert here.files() == expected


def test_a_frame_cut_short_or_changed_by_hand_is_named_and_drawn_again(place: Any) -> None:
    here = place()(ALL)
    expected = here.files()
    content = (here / "out_00003.cbf").read_bytes()
    (here / "out_00003.cbf").write_bytes(content[:1000])
    (here / "float_00001.bin").write_bytes(bytes(12 * 12 * 4))
    assert here(ALL).drawn == [1, 3]
    assert f"out_00003.cbf has 1000 bytes instead of {len(content)}; it is made again" in here.err
    assert "float_00001.bin has another content than was written; it is made again" in here.err
    assert here.files() == expected


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"cut")])
def test_a_missing_or_damaged_master_is_made_again(place: Any, harm: Callable[[Path], None]) -> None:
    here = place()(ALL)
    expected = here.files()
    harm(here / "sweep.nxs")
    assert here(ALL).drawn == []
    assert here.files() == expected


def test_a_copied_series_is_finished(place: Any) -> None:
    here = place()(ALL)
    (here / "out_00002.cbf").unlink()
    there = place("there")
    for path in here.folder.iterdir():
        shutil.copy(path, there.folder)
    assert there(ALL).drawn == [2]
    assert here(ALL).files() == there.files()


@pytest.mark.parametrize("name", ["sweep.nxs", "sweep_00003.nxs", "out_00001.cbf"])
def test_a_foreign_file_is_named_and_kept(place: Any, name: str) -> None:
    here = place()
    (here / name).write_bytes(b"mine")
    here(ALL, 9)
    assert f": {name} is there, but sweep.series does not say that this series has written it" in here.err
    assert "move it away" in here.err
    assert here.files() == {name: b"mine"}
    assert not (here / "sweep.series").exists()


def test_without_its_record_a_series_is_foreign(place: Any) -> None:
    here = place()(ALL)
    expected = here.files()
    (here / "sweep.series").unlink()
    here(ALL, 9)
    assert "move it away, or choose another name" in here.err
    assert here.files() == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("-lambda 1.3", "-lambda was 1.2, is 1.3"),
        ("-seed 6", "-seed was 5, is 6"),
        ("-frames 5", "-frames was 4, is 5"),
        ("-dispersion 1", "-dispersion was not given, is 1.0"),
        ("-physics exact", "-physics was not given, is 'exact'"),
        ("-nonoise", "-nonoise was not given, is False"),
    ],
)
def test_another_command_in_the_same_place(place: Any, more: str, message: str) -> None:
    here = place()(ALL)
    expected = here.files()
    here(f"{ALL} {more}", 9)
    assert f"-frames: sweep.series is the record of another series: {message}; give the same command" in here.err
    assert here.files() == expected


def test_another_content_of_an_input_file(place: Any) -> None:
    here = place()
    words = "-frames 2 -hkl P1.hkl -floatfile f.bin -nonoise"
    (here / "P1.hkl").write_text("0 0 1 5\n1 0 0 7\n")
    here(words)
    assert "all 2 frames" in here(words).out
    (here / "P1.hkl").write_text("0 0 1 5\n1 0 0 8\n")
    here(words, 9)
    assert "the content of P1.hkl was" in here.err


def test_what_changes_no_file_may_change(place: Any) -> None:
    here = place()(ALL)
    assert "all 4 frames" in here(f"{ALL} -noprogress -threads 1 -memory 100 -printout_pixel 1 1").out


def test_seeds_of_the_clock_are_kept(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "-frames 3 -misset random -noisefile noise.img"
    monkeypatch.setattr("time.time", lambda: 1000.0)
    here = place()(words)
    expected = here.files()
    (here / "noise_00003.img").unlink()
    monkeypatch.setattr("time.time", lambda: 2000.0)
    assert here(words).drawn == [3]
    assert here.files() == expected
    assert place("later")(words).files() != expected


def test_noise_does_not_depend_on_the_order(place: Any) -> None:
    here = place()("-frames 3 -seed 5 -noisefile noise.img")
    expected = here.files()
    for name in expected:
        (here / name).unlink()
        here("-frames 3 -seed 5 -noisefile noise.img")
    assert here.files() == expected
    assert len(set(expected.values())) == 3


@pytest.mark.parametrize("when", [1, 8, 17])
def test_a_full_disk_in_the_middle(place: Any, monkeypatch: pytest.MonkeyPatch, when: int) -> None:
    expected = place("undisturbed")(ALL)
    here, made = place(), 0

    def failing(path: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        nonlocal made
        made += "x" in mode
        if made == when:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(path, mode, *rest, **more)

    monkeypatch.setattr(whole, "open", failing, raising=False)
    here(ALL, 9)
    monkeypatch.undo()
    done = (when - 1) // 5
    assert "cannot be written: No space left on device; free some space or choose another place; " in here.err
    assert f"{done} of 4 frames are finished and kept: the same command goes on with the others" in here.err
    assert len(here.files()) == 5 * done
    assert (here / "sweep.series").exists() == (done > 0)
    assert len(here(ALL).drawn) == 4 - done
    assert here.files() == expected.files()


def test_two_processes_at_once(place: Any) -> None:
    here = place()(ALL)
    (here / "noise_00002.img").unlink()
    with opened(here / "sweep.series"):
        here(ALL, 9)
    assert "sweep.series: another process is drawing this series; let it finish" in here.err
    assert here(ALL).drawn == [2]


def test_a_refused_command_leaves_no_record(place: Any) -> None:
    here = place()
    here(f"{ALL} -device nonsense", 9)
    assert not list(here.folder.iterdir())
    here(ALL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-frames 0 -cbf a.cbf", "-frames: 0 is not a number of frames; give 1 or more"),
        ("-frames 2000000 -cbf a.cbf", "-frames: 2000000 are too many"),
        ("-frames 2", "-frames: no file is named; add -cbf, -nexus, -noisefile, -intfile or -floatfile"),
        ("-frames 2 -noisefile n.img -nonoise", "-frames: no file is named"),
        ("-frames 2 -cbf a.cbf -osc 0", "-frames: all frames would show the same angle; give -osc"),
        ("-frames 100 -cbf a_##.cbf", "-cbf: 2 digits cannot count 100 frames; write more of #"),
        ("-frames 2 -floatfile /dev/null", "-floatfile: /dev/null is not a file, and cannot be numbered"),
        ("-frames 2 -nexus a_##.nxs", "-nexus: a_##.nxs is the one file that joins all frames; give a name without #"),
        ("-frames 2 -nexus no/a.nxs", "-frames: no/a.series cannot be written: its folder does not exist"),
        ("-frames 2 -cbf a.img -noisefile a.img", "-cbf: a_00001.img is the file of -noisefile too"),
    ],
)
def test_what_cannot_be_a_series(place: Any, words: str, message: str) -> None:
    here = place()
    here(words, 9)
    assert here.err.startswith(f"nanobrag: {message}"), here.err
    assert not list(here.folder.iterdir())


def test_no_oscillation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-cell", "40", "-default_F", "5", "-detpixels", "8", "-frames", "2", "-cbf", "a.cbf"]) == 9
    assert "-frames: all frames would show the same angle; give -osc" in capfd.readouterr().err


def test_integer_images_with_scales_of_their_own_are_announced(place: Any) -> None:
    assert "every integer image of the series has a scale of its own" in place()("-frames 2 -intfile i.img").err
    assert place("other")("-frames 2 -intfile i.img -scale 1").err == ""
