"""Whole runs of the command line: statuses, messages, files that appear together, and what never imports torch."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nanobrag_torch
from nanobrag_torch.cli.main import main, with_seeds
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import BackendUnavailable, InputError


def test_reference_row(run: Any) -> None:
    """specs: intensity 8, first row, with the noise of rng 8."""
    outcome = run(
        "-detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 -oversample 1 -nopgm -noprogress "
        "-cell 40 45 50 -N 4 -default_F 100 -noisefile noise.img -seed 3"
    )
    assert outcome.status == 0
    assert outcome.err == ""
    assert "max_I = 743.624  at 0.003 0.0034\nmean= 103.299 rms= 208.476 rmsd= 180.992\n" in outcome.out
    assert "32950 photons on noise image (0 overloads)" in outcome.out
    image = outcome.image(20, 16)
    assert image[0, 0] == pytest.approx(198.296661, rel=1e-7)
    counts = np.frombuffer((outcome.folder / "noise.img").read_bytes()[512:], np.uint16)
    assert counts[:8].tolist() == [231, 62, 74, 407, 80, 40, 40, 631]
    assert counts.sum() == 45750
    assert sorted(outcome.files) == ["floatimage.bin", "intimage.img", "noise.img"]


def test_default_outputs(run: Any) -> None:
    outcome = run("-cell 40 -default_F 1 -N 3 -detpixels 6 -pixel 4 -png look.png")
    assert sorted(outcome.files) == ["floatimage.bin", "image.pgm", "intimage.img", "look.png", "noiseimage.img"]


def test_can_be_called_many_times(run: Any) -> None:
    first, other, again = run.small(), run.small("-misset 9 9 9"), run.small()
    assert first.files == again.files
    assert first.out == again.out
    assert other.files != first.files


def test_help_and_version(run: Any) -> None:
    help_, version = run("-N 5 --help"), run("--version")
    assert (help_.status, version.status) == (0, 0)
    assert "-detector_thicksteps" in help_.out
    assert version.out.startswith("nanobrag_torch ")
    assert run("-hkl -h").out == help_.out


@pytest.mark.parametrize("line", ["", "-N 5", "-cell 40 -N 5", "-default_F 10 -N 5", "-cell 0 -default_F 1"])
def test_usage_when_crystal_or_amplitudes_are_missing(line: str, run: Any) -> None:
    outcome = run(line)
    assert outcome.status == 9
    assert outcome.out.startswith("usage: nanobrag ")
    assert outcome.err.startswith("nanobrag: -cell: " if "-cell 40" not in line else "nanobrag: -hkl: ")
    assert outcome.err.count("\n") == 1
    assert outcome.files == {}


BAD = [
    ("-distance", "-distance: 1 more value"),
    ("-distance -N 5", "-distance: 1 more value"),
    ("-distance abc", "-distance: 'abc' is not a number"),
    ("-distance 12abc", "-distance: '12abc' is not a number"),
    ("-lambda nan", "-lambda: 'nan' is not a number"),
    ("-lambda inf", "-lambda: 'inf' is not a number"),
    ("-detector_thick inf", "-detector_thick: 'inf'"),
    ("-lambda 1e400", "-lambda: '1e400' is too large"),
    ("-N 8.9", "-N: '8.9' is not a whole number"),
    ("-N 1e30", "-N: 1e+30 is too large"),
    ("-roi 1 2 3", "-roi: 1 more value"),
    ("-roi 1 2 3.5 4", "-roi: '3.5' is not a whole number"),
    ("-fdet_vector 0 0", "-fdet_vector: 1 more value"),
    ("-misset 1 2", "-misset: 1 more value"),
    ("-cell x", "-cell: 'x' is not a number"),
    ("-detector_thicksteps", "-detector_thicksteps: 1 more value"),
    ("-detector_abs", "-detector_abs: 1 more value"),
    ("-hkl", "-hkl: 1 more value"),
    ("-hkl -foo", "-hkl: a name was expected"),
    ("-pivot nowhere", "-pivot: 'nowhere' contains none of"),
    ("-physics fast", "-physics: 'fast' is none of"),
    ("-dtype float16", "-dtype: 'float16' is none of"),
    ("-distanc 5", "-distanc: unknown flag; did you mean -distance?"),
    ("-lamda 5", "-lamda: unknown flag; did you mean -lambda?"),
    ("-mosaics 5", "-mosaics: unknown flag; did you mean -mosaic"),
    ("-zzzzzzz", "-zzzzzzz: unknown flag; see --help"),
    ("5", "'5': belongs to no flag"),
    ("-N 3 4", "'4': belongs to no flag; -N 3 is complete without it"),
    ("distance 5", "'distance': belongs to no flag; did you mean -distance?"),
    ("-curved_det 1 2", "'2': belongs to no flag"),
    ("-cell 40 45 50 30 30 90", "-cell: no cell has the angles 30 30 90"),
    ("-cell 40 45 50 200 90 90", "-cell: no cell has the angles"),
    ("-lambda 0", "-lambda: 0 is not positive"),
    ("-wavelength -1", "-wavelength: -1 is not positive"),
    ("-energy 0", "-energy: a photon energy of 0 eV"),
    ("-pixel 0", "-pixel: 0 is not positive"),
    ("-pixel -0.1", "-pixel: -0.1 is not positive"),
    ("-distance 0", "-distance: 0 is not positive"),
    ("-distance -5", "-distance: -5 is not positive"),
    ("-close_distance 0", "-close_distance: 0 is not positive"),
    ("-detpixels -5", "-detpixels: -5 is negative"),
    ("-detpixels 0 -detsize 0", "-detsize: 0 is not positive"),
    ("-detpixels 0 -pixel 500", "-pixel: the detector is smaller than half a pixel"),
    ("-detpixels 50000", "-detpixels: 50000 x 50000 is more than"),
    ("-detpixels 46000", "-detpixels: an image of 46000 x 46000 pixels needs"),
    ("-phisteps 2000000000", "-phisteps: 2000000000 orientations need"),
    ("-hdivsteps 100000 -hdivrange 1 -vdivsteps 100000 -vdivrange 1", "-hdivsteps: 10000000000 sources need"),
    ("-water -5", "-water: -5 is negative"),
    ("-samplesize -1", "-samplesize: -1 is negative"),
    ("-fluence -1", "-fluence: -1 is negative"),
    ("-fudge -1", "-fudge: -1 is negative"),
    ("-flux 1e12 -beamsize 0", "-beamsize: a flux through a beam of size 0"),
    ("-seed 2147483647", "-seed: a seed of 2147483647"),
    ("-misset_seed -2147483647", "-misset_seed: a seed of"),
    ("-mosaic_seed 99999999999", "-mosaic_seed: "),
    ("-fdet_vector 0 0 0", "-fdet_vector: "),
    ("-sdet_vector 0 0 0", "-sdet_vector: "),
    ("-beam_vector 0 0 0", "-beam_vector: "),
    ("-spindle_axis 0 0 0", "-spindle_axis: "),
    ("-fdet_vector 0 1 0", "-fdet_vector: the fast and the slow axis are parallel"),
    ("-odet_vector 0 0 1", "-odet_vector: the beam runs parallel"),
    ("-detector_rotz 90", "-detector_rotz: the beam runs parallel"),
    ("-twotheta 90", "-twotheta: the beam runs parallel"),
    ("-twotheta_axis 0 0 2 -twotheta 10", "-twotheta_axis: has length 2"),
    ("-pix0_override_mm 0 1 1", "-pix0_override_mm: the plane of the detector"),
    ("-roi 5 4 0 11", "-roi: 5 to 4 leaves no pixel"),
    ("-roi 12 20 0 11", "-roi: 12 to 20 leaves no pixel"),
    ("-printout_pixel 12 0", "-printout_pixel: 12 0 lies outside"),
    ("-threads 0", "-threads: 0 is not positive"),
    ("-memory -1", "-memory: -1 is not positive"),
    ("-device toaster", "-device: toaster: is not a torch device"),
    ("-hkl missing.hkl", "-hkl missing.hkl: "),
    ("-hkl broken.hkl", "-hkl broken.hkl: line 2: "),
    ("-hkl half.hkl", "-hkl half.hkl: line 1: h is '0.5'"),
    ("-mat missing.mat", "-mat missing.mat: "),
    ("-mat short.mat", "-mat short.mat: "),
    ("-sourcefile missing.txt", "-sourcefile missing.txt: "),
    ("-sourcefile bad.txt", "-sourcefile bad.txt: line 1: "),
    ("-stol missing.stol", "-stol missing.stol: "),
    ("-img missing.img", "-img missing.img: "),
    ("-img A.mat", "-img A.mat: line 1: not an SMV image"),
    ("-mask missing.img", "-mask missing.img: "),
    ("-mask mask.img -detpixels 13", "-mask: mask.img has 12 x 12 pixels"),
    ("-floatfile nowhere/out.bin", "-floatfile: nowhere/out.bin cannot be written"),
    ("-intfile .", "-intfile: . is a folder"),
    ("-png nowhere/out.png", "-png: nowhere/out.png"),
]


@pytest.mark.parametrize(("line", "message"), [pytest.param(*bad, id=bad[0]) for bad in BAD])
def test_bad_input_is_refused_in_one_line(line: str, message: str, run: Any) -> None:
    run.more = {
        "broken.hkl": "0 0 1 5\n0 0 x 5\n",
        "half.hkl": "0.5 0 1 5\n",
        "short.mat": "1 2 3\n",
        "bad.txt": "1 2 x\n",
        "floatimage.bin": "mine",
        "intimage.img": "mine",
    }
    outcome = run.small(line)
    assert outcome.status == 9
    assert outcome.err.startswith(f"nanobrag: {message}")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    assert set(outcome.files) == set(run.more)
    assert (outcome.folder / "floatimage.bin").read_text() == "mine"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["-nonsense"], ["-cell", "40"], ["-cell", "40", "-hkl", "missing.hkl"]]
    + [["-cell", "40", "-default_F", "1", *more.split()] for more in ("-lambda 0", "-roi 9 1 0 0", "-twotheta 90")],
)
def test_help_and_refusals_never_import_torch(words: list[str], tmp_path: Path) -> None:
    code = f"import sys, os; os.chdir({str(tmp_path)!r}); from nanobrag_torch.cli.main import main; main({words!r})"
    done = python(f"{code}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


NOT_FOR_REFUSALS = ("hashlib", "pathlib", "platform", "shutil", "tomllib", "numpy", "nanobrag_torch.io.files")
"""Modules that take long to load."""


@pytest.mark.parametrize("words", [["--version"], ["-lambda", "x"], ["-nonsense"]])
def test_words_that_are_refused_load_next_to_nothing(words: list[str]) -> None:
    source = str(Path(nanobrag_torch.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {source!r}); from nanobrag_torch.cli.main import main; main({words!r})"
    command = [sys.executable, "-S", "-P", "-c", f"{code}; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(NOT_FOR_REFUSALS)


@pytest.mark.parametrize("words", [["--help"], ["-nonsense"], ["-cell", "40", "-hkl", "missing.hkl"]])
def test_help_and_refusals_are_quick(words: list[str]) -> None:
    """Processor time, which other programs on the machine do not lengthen."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "nanobrag_torch", *words], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


def test_reader_that_leaves_early_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m nanobrag_torch --help | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: ")
    assert done.stderr == ""


def test_failure_while_writing_leaves_everything_as_it_was(run: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise InputError("-pgmfile", "image.pgm cannot be written: no space")

    run.monkeypatch.setattr("nanobrag_torch.io.pgm.write_pgm", fail)
    outcome = run.small("-pgmfile image.pgm")
    assert outcome.status == 9
    assert outcome.files == {}


@pytest.mark.parametrize(
    "place", ["nanobrag_torch.pipeline.simulator.Simulator.run", "nanobrag_torch.io.pgm.write_pgm"]
)
def test_interruption_leaves_no_partial_files(place: str, run: Any) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    run.monkeypatch.setattr(place, interrupt)
    outcome = run.small("-hkl P1.hkl -pgmfile image.pgm")
    assert outcome.status == 130
    assert outcome.err == "nanobrag: interrupted\n"
    assert outcome.files == {}


def test_bug_is_one_line_and_shows_its_traceback_if_asked(run: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a bug")

    run.monkeypatch.setattr("nanobrag_torch.pipeline.simulator.Simulator.run", fail)
    outcome = run.small()
    assert outcome.status == 70
    text = "nanobrag: RuntimeError: a bug; this is a fault of the program (--traceback shows where)\n"
    assert outcome.err == text
    assert outcome.files == {}
    shown = run.small("--traceback")
    assert shown.err.startswith("Traceback (most recent call last):")
    assert shown.err.endswith(text)


def test_unavailable_backend_is_one_line(run: Any) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise BackendUnavailable("cuda", "there is none; use -device cpu")

    run.monkeypatch.setattr("nanobrag_torch.pipeline.simulator.Simulator.run", fail)
    outcome = run.small()
    assert outcome.status == 9
    assert outcome.err == "nanobrag: cuda: there is none; use -device cpu\n"


def test_ways_to_compute_arrive(run: Any) -> None:
    import torch

    seen: dict[str, Any] = {}

    class Spied:
        def __init__(self, experiment: Any, **options: Any) -> None:
            seen.update(options, threads=torch.get_num_threads(), physics=experiment.physics)
            raise InputError("spied", "enough")

    before = torch.get_num_threads()
    run.monkeypatch.setattr("nanobrag_torch.pipeline.simulator.Simulator", Spied)
    run.small("-threads 1 -device cpu -dtype float32 -memory 300 -tolerance 0.5")
    assert seen == {
        "threads": 1,
        "physics": "nanobragg",
        "device": "cpu",
        "dtype": "float32",
        "memory": 300_000_000,
        "tolerance": 0.5,
    }
    assert torch.get_num_threads() == before


def test_physics_is_handed_to_settle(run: Any) -> None:
    seen = []

    def settle(config: Any, physics: str, inputs: Any) -> None:
        seen.append(physics)
        raise InputError("physics", "enough")

    run.monkeypatch.setattr("nanobrag_torch.settling.settle", settle, raising=False)
    run.small("-physics exact")
    run.small()
    assert seen == ["exact", "nanobragg"]


def test_result_does_not_depend_on_memory_or_threads(run: Any) -> None:
    assert run.small().files == run.small("-memory 1 -threads 1").files


def test_seeds_from_the_clock() -> None:
    config = with_seeds(parse(["-misset", "random", "-seed", "4"]), 77)
    assert (config.crystal.misset_seed, config.output.noise_seed) == (77, 4)
    config = with_seeds(parse(["-misset", "random", "-physics", "exact", "-seed", "4"]), 77)
    assert (config.crystal.misset_seed, config.output.noise_seed) == (4, 4)
    config = with_seeds(parse(["-misset", "random", "-misset_seed", "5"]), 77)
    assert (config.crystal.misset_seed, config.output.noise_seed) == (5, 77)


def test_seed_of_a_random_orientation_is_printed(run: Any) -> None:
    outcome = run.small("-misset random")
    seed = next(line for line in outcome.out.splitlines() if line.startswith("random orientation seed: "))
    again = run.small(f"-misset_seed {seed.split()[-1]} -misset random")
    assert again.files == outcome.files


def test_misset_of_known_seed(run: Any) -> None:
    """specs: rng 8."""
    out = run.small("-misset_seed 12 -misset random").out
    assert "random orientation misset angles: -22.120634 -32.614197 177.638564 deg\n" in out


def test_warnings_are_lines_on_standard_error(run: Any) -> None:
    outcome = run.small("-dispstep 4 -point_pixel -coherent")
    assert outcome.status == 0
    lines = outcome.err.splitlines()
    assert lines[0] == "nanobrag: warning: -dispstep and '4' behind it are ignored: there is no such flag"
    assert lines[1].startswith("nanobrag: -coherent: ")
    assert lines[2].startswith("nanobrag: warning: D46: ")
    assert len(lines) == 3


def test_quiet_prints_nothing(run: Any) -> None:
    outcome = run("-cell 40 -default_F 1 -N 3 -detpixels 6 -pixel 4 -quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert len(outcome.files) == 4


def test_dump_is_written_and_read(run: Any) -> None:
    written = run.small("-hkl P1.hkl")
    assert "writing dump file for next time: Fdump.bin" in written.out
    assert (written.folder / "Fdump.bin").stat().st_size == 32272
    run.monkeypatch.chdir(written.folder)
    assert main(["-cell", "40", "-detpixels", "4", "-nonoise", "-nopgm", "-quiet"]) == 0


def test_dump_that_cannot_be_written_is_a_warning(run: Any) -> None:
    outcome = run.small("-hkl P1.hkl -dump nowhere/cache.bin")
    assert outcome.status == 0
    assert "WARNING: unable to open dump file: nowhere/cache.bin" in outcome.out
    assert outcome.err.startswith("nanobrag: warning: -dump: ")


def test_output_to_a_device(run: Any) -> None:
    outcome = run.small("-floatfile /dev/null -intfile /dev/null")
    assert outcome.status == 0
    assert outcome.files == {}
    assert Path("/dev/null").is_char_device()


def test_header_geometry_and_flags_over_it(run: Any) -> None:
    from nanobrag_torch.io.smv import read_smv_header

    first = run.small("-xds -ORGX 4 -ORGY 7 -close_distance 90")
    header = read_smv_header(first.folder / "intimage.img")
    assert (header.orgx, header.orgy, header.close_distance) == (4.0, 7.0, 90.0)
    again = run(
        f"-img {first.folder}/intimage.img -xds -cell 40 45 50 -misset 5 10 15 -default_F 50 -N 4 -oversample 1 "
        "-nonoise -nopgm -distance 200 -phisteps 1 -osc 0 -phistep 0"
    )
    assert again.status == 0, again.err
    assert again.files["floatimage.bin"] == first.files["floatimage.bin"]
