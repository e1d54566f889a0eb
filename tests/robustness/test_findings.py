"""What a trial with hostile inputs once found, one test for each: lies, losses, tracebacks, hangs, leaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.errors import ParityError
from nanobrag_torch.hostile.seeds import CIF, EXPT, HKL, MATRIX, PDB, dump, mtz, smv
from nanobrag_torch.hostile.targets import SCENE
from nanobrag_torch.parity.compare import main as nb_compare
from nanobrag_torch.parity.matrix import main as nb_parity
from nanobrag_torch.parity.programs import find_c_program
from nanobrag_torch.view.main import main as nb_view

PROGRAM = f"{sys.executable} -P -m nanobrag_torch {' '.join(SCENE).replace('-quiet', '')}"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, env=environment, timeout=99
    )


class TestLiesAndLosses:
    @pytest.mark.parametrize("more", ["", "-frames 2 -osc 1 -cbf a_#.cbf"])
    def test_a_reader_that_leaves_loses_no_file(self, more: str, tmp_path: Path) -> None:
        done = shell(f"{PROGRAM} {more} | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert {"floatimage.bin", "intimage.img"} <= set(os.listdir(tmp_path)) or "a_2.cbf" in os.listdir(tmp_path)

    def test_a_reader_that_leaves_loses_no_line_of_a_batch(self, tmp_path: Path) -> None:
        lines = "".join(f"-floatfile {name}.bin -intfile {name}.img\n" for name in "abc")
        (tmp_path / "jobs.txt").write_text(lines)
        done = shell(f"{PROGRAM} -batch jobs.txt | head -1; exit ${{PIPESTATUS[0]}}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(os.listdir(tmp_path)) == ["a.bin", "a.img", "b.bin", "b.img", "c.bin", "c.img", "jobs.txt"]

    @pytest.mark.parametrize(
        "line",
        [
            "-hkl t.hkl -dump t.hkl",
            "-hkl t.hkl -dump ./t.hkl",
            "-mat A.mat -hkl t.hkl -dump A.mat",
            "-mask m.img -intfile m.img",
            "-img m.img -floatfile m.img",
            "-img m.img -floatfile linked.img",
            "-img m.img -floatfile hard.img",
            "-floatfile Fdump.bin",
            "-floatfile same.bin -intfile ./same.bin",
        ],
    )
    def test_no_input_is_overwritten(self, line: str, run: Any) -> None:
        for name, content in {"t.hkl": HKL, "A.mat": MATRIX, "m.img": smv(), "Fdump.bin": dump()}.items():
            Path(name).write_bytes(content)
        Path("linked.img").symlink_to("m.img")
        os.link("m.img", "hard.img")
        assert " is the file of -" in run.refused(line)

    def test_a_batch_is_not_overwritten_by_its_lines(self, run: Any) -> None:
        Path("jobs.txt").write_text("-floatfile jobs.txt\n-floatfile a.bin\n")
        ended = run("-batch jobs.txt")
        assert ended.status == 9
        assert "jobs.txt is the file of -batch too" in ended.err
        assert Path("jobs.txt").read_text().startswith("-floatfile jobs.txt")
        assert Path("a.bin").exists()

    @pytest.mark.parametrize("name", ["a.img", "./a.img", "linked.img"])
    def test_nb_view_does_not_overwrite_its_image(self, name: str, run: Any) -> None:
        Path("a.img").write_bytes(smv())
        Path("linked.img").symlink_to("a.img")
        assert nb_view(["a.img", "-o", name]) == 9
        assert Path("a.img").read_bytes() == smv()

    @pytest.mark.parametrize(
        "line",
        [
            "-default_F 1e30",
            "-default_F 1e20",
            "-polar 1e150",
            "-polar 1e5",
            "-fluence 1e150",
            "-distance 1e308",
            "-Xbeam 1e300",
            "-twotheta 180",
            "-sourcefile weightless.txt -source_weights",
        ],
    )
    def test_no_image_that_cannot_be(self, line: str, run: Any) -> None:
        Path("weightless.txt").write_text("-10 0 0 0 1e-10\n-10 0 1 0 1e-10\n")
        run.refused(line)

    def test_no_image_of_a_header_that_cannot_be(self, run: Any) -> None:
        Path("far.img").write_bytes(smv(DISTANCE="1e300"))
        scene = " ".join(SCENE).replace("-distance 100", "-img far.img")
        assert "-img far.img: 1e+300 is too large to be meant" in run.refused(scene, scene=False)

    def test_words_that_begin_like_a_flag(self, run: Any) -> None:
        assert "-threads" in run.refused("-Ncpu 4")
        assert "-phi" in run.refused("-osc_start 30")
        assert "-dispersion" in run.refused("-energyspread .01")
        assert "value in mm" in run.refused("-pixelsize_um 172")
        said = run("-detector_rotxyz 0")
        assert said.status == 0
        assert said.err == "nanobrag: warning: -detector_rotxyz is taken for -detector_rotx, with which it begins\n"
        assert run("-mosaic_spread 0.1 -mosaic_domains 2 -wavelength 1.2").err == ""

    def test_a_dump_that_lies_about_is_told_of(self, run: Any) -> None:
        Path("Fdump.bin").write_bytes(dump())
        said = run("-default_F 50")
        assert said.status == 0
        assert "warning: the structure factors come from Fdump.bin in this folder" in said.err
        assert run("-dump Fdump.bin").err == ""

    @pytest.mark.parametrize(
        ("old", "new"),
        [("10.5", "abc"), ("0 0 2", "4294967297 0 2"), ("0 0 2", "x 0 2"), ("0 0 2", "? 0 2"), ("0 0 2", "1.5 0 2")],
    )
    def test_words_in_mmcif(self, old: str, new: str, run: Any) -> None:
        Path("a.cif").write_bytes(CIF.replace(old.encode(), new.encode()))
        assert "-hkl a.cif: reflection 1: " in run.refused("-hkl a.cif")

    def test_sizes_that_are_not_whole(self, run: Any) -> None:
        Path("a.expt").write_bytes(EXPT.replace(b" 10,\n", b" 10.5,\n", 1))
        assert "-expt a.expt: " in run.refused("-expt a.expt -default_F 50 -N 4 -oversample 1 -quiet", scene=False)

    def test_atoms_far_away(self, run: Any) -> None:
        Path("a.pdb").write_bytes(PDB.replace(b"   1.000   2", b" 9999999   2"))
        assert "cannot all be meant" in run.refused("-model a.pdb")

    def test_pixels_of_another_width(self, run: Any) -> None:
        for content in (smv(bits=32, TYPE="unsigned_long"), smv(bits=32).replace(b"TYPE=unsigned", b"KIND=unsigned")):
            Path("m.img").write_bytes(content)
            assert "2-byte whole numbers" in run.refused("-mask m.img")

    def test_runs_of_one_second_have_different_noise(self, run: Any) -> None:
        scene = " ".join(SCENE).replace("-seed 1", "").replace("-nonoise", "-noisefile n.img")
        images = set()
        for _ in range(3):
            run(scene, scene=False)
            images.add(Path("n.img").read_bytes())
        assert len(images) == 3


EXTREME = (
    "-lambda 1e-10|-energy 1e30|-cell 1e30|-pixel 1e30|-samplesize 1e30|-divergence 1e-300|-beam_vector 1e300 0 0|"
    "-memory 1e308|-floatfile " + "a" * 300 + "|-hkl " + "a" * 300 + "|-threads 100000|-oversample 2000000000|"
    "-phisteps 100000000|-mosaic 1 -mosaic_domains 100000000|-hdivsteps 1000 -vdivsteps 1000 -divergence 1|"
    "-dispersion 300 -dispsteps 3|-N 2147483647 -oversample 0 -detpixels 900"
)


TABLES = (
    "lines: 5",
    "lines: [5]",
    "lines: [{id: a, args: 5, bounds: 7}]",
    "lines: [{id: a, args: x, bounds: {sum: y}}]",
    'lines: [{id: a, args: "\'"}]',
    "bounds: [1]\nlines: []",
    "[" * 3000,
)


class TestTracebacks:
    @pytest.mark.parametrize("line", EXTREME.split("|"), ids=lambda line: line[:40])
    def test_extreme_values(self, line: str, run: Any) -> None:
        run.refused(line)

    @pytest.mark.parametrize(
        "device",
        ["meta", "mps", "xla", "hip", "vulkan", "ipu", "mtia", "fpga", "privateuseone", "cuda:99", "cpu:7", "nonsense"],
    )
    def test_devices(self, device: str, run: Any) -> None:
        assert run.refused(f"-device {device}").startswith(f"nanobrag: -device: {device}: ")

    @pytest.mark.parametrize(
        "content",
        [b"1 0 0 1 0 0 1 0 0\n", b"0 0 0 0 0 0 0 0 0\n", b"1e300 0 0 0 1e-300 0 0 0 1\n", b"1e-200 0 0 0 1 0 0 0 1\n"],
    )
    def test_matrices(self, content: bytes, run: Any) -> None:
        Path("A.mat").write_bytes(content)
        scene = " ".join(SCENE).replace("-cell 40 45 50", "-mat A.mat")
        run.refused(scene, scene=False)

    def test_a_singular_matrix_in_nb_view(self, run: Any, capfd: Any) -> None:
        Path("A.mat").write_bytes(b"1 0 0 1 0 0 1 0 0\n")
        Path("a.img").write_bytes(smv())
        words = " ".join(SCENE).replace("-cell 40 45 50", "-mat A.mat").split()
        assert nb_view(["a.img", "--", *words]) == 9

    @pytest.mark.parametrize(
        "content",
        [
            PDB.replace(b"   1.000   2", b"     nan   2"),
            PDB.replace(b"ATOM      1", b"SCALE1      0.000000  0.000000  0.000000        0.00000\nATOM      1"),
            PDB.replace(b"ALA", b"\xff\xfe\xfd"),
            PDB.replace(b"   1.000   2", b" 300 1.0   2"),
        ],
    )
    def test_models(self, content: bytes, run: Any) -> None:
        Path("a.pdb").write_bytes(content)
        assert run("-model a.pdb -model_dmin 5").status in (0, 9)

    def test_mtz_labels(self, run: Any) -> None:
        Path("a.mtz").write_bytes(mtz().replace(b"COLUMN F ", b"COLUMN \xd5 "))
        assert run("-hkl a.mtz").status in (0, 9)

    @pytest.mark.parametrize(
        "content", [b"[" * 100000, b'{"a": ' * 5000, b'{"__id__": "ExperimentList", "experiment": 5}']
    )
    def test_json(self, content: bytes, run: Any) -> None:
        Path("a.expt").write_bytes(content)
        run.refused("-expt a.expt")

    @pytest.mark.parametrize("damage", range(19))
    def test_damaged_experiment_lists(self, damage: int, run: Any) -> None:
        """Every value of a list in turn is something else."""
        content = json.loads(EXPT)
        places = list(_places(content))
        for place in places[damage::57]:
            changed = json.loads(EXPT)
            *way, last = place
            node = changed
            for step in way:
                node = node[step]
            node[last] = (None, "x", [], {}, -1, 1e308, True)[(damage + len(way)) % 7]
            Path("a.expt").write_text(json.dumps(changed))
            ended = run(
                "-expt a.expt -default_F 50 -N 4 -oversample 1 -nopgm -nonoise -nexus a.nxs -quiet", scene=False
            )
            assert ended.status in (0, 9), (place, ended)

    def test_a_working_directory_that_is_gone(self, tmp_path: Path) -> None:
        done = shell(f"mkdir gone; cd gone; rmdir ../gone; {PROGRAM}", tmp_path)
        assert done.returncode == 70
        assert done.stderr == "nanobrag: the working directory is gone; change to one that exists\n"

    @pytest.mark.parametrize(("to", "status"), [("/dev/full", 70), ("&-", 0)])
    def test_standard_outputs(self, to: str, status: int, tmp_path: Path) -> None:
        done = shell(f"{PROGRAM} >{to}", tmp_path)
        assert done.returncode == status
        assert done.stderr.count("\n") == (status != 0)
        assert (tmp_path / "floatimage.bin").stat().st_size == 576

    def test_an_ascii_locale(self, tmp_path: Path) -> None:
        done = shell(f"PYTHONIOENCODING=ascii {PROGRAM} -lambda abc", tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (9, 1)

    def test_out_of_memory(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")):
            monkeypatch.setattr("nanobrag_torch.pipeline.simulator.Simulator.run", _raising(error))
            ended = run("")
            assert ended.status == 70
            assert ended.err.startswith("nanobrag: out of memory; ask for less")

    def test_words_of_nb_compare(self, run: Any, capfd: Any) -> None:
        assert nb_compare(["--c-bin", "/bin/true", "--py-bin", "'", "--", "-cell", "40"]) == 1
        assert capfd.readouterr().err.startswith("nb-compare: --py-bin: ' cannot be split into words")

    @pytest.mark.parametrize("table", TABLES)
    def test_tables_of_nb_parity(self, table: str, run: Any, capfd: Any) -> None:
        Path("t.yaml").write_text(table)
        assert nb_parity(["t.yaml", "--c-bin", "/bin/true"]) in (1, 70)
        said = capfd.readouterr().err
        assert said.count("\n") <= 12
        assert "Traceback" not in said


def _places(node: Any, way: tuple[Any, ...] = ()) -> Any:
    """The way to every value of a JSON content."""
    for key in node if isinstance(node, dict) else range(len(node)):
        yield (*way, key)
        if isinstance(node[key], dict | list):
            yield from _places(node[key], (*way, key))


def _raising(error: Exception) -> Any:
    def raising(*args: Any, **kwargs: Any) -> None:
        raise error

    return raising


INPUTS = ("-hkl", "-mat", "-sourcefile", "-spectrum", "-img", "-mask", "-expt", "-model", "-dump", "-stol")


class TestHangsAndMemory:
    @pytest.mark.parametrize("flag", INPUTS)
    @pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
    def test_only_regular_files_are_read(self, flag: str, name: str, run: Any) -> None:
        os.mkfifo("pipe")
        scene = " ".join(SCENE).replace("-default_F 50", "") if flag == "-dump" else " ".join(SCENE)
        assert "pipe or a device" in run.refused(f"{scene} {flag} {name}", scene=False)

    @pytest.mark.parametrize("flag", ["-floatfile", "-intfile", "-cbf", "-nexus", "-png"])
    def test_only_regular_files_are_written(self, flag: str, run: Any) -> None:
        os.mkfifo("pipe")
        assert "is a pipe, not a file" in run.refused(f"{flag} pipe")

    def test_two_lines_make_no_large_table(self, run: Any) -> None:
        Path("t.hkl").write_text("0 0 0 1\n780 780 780 1\n")
        assert "781 x 781 x 781" in run.refused("-hkl t.hkl")

    def test_mtz_files_that_ask_for_memory(self, run: Any) -> None:
        Path("a.mtz").write_bytes(mtz().replace(b"NCOL        5            3", b"NCOL        5    900000000"))
        assert "no room for 900000000 reflections" in run.refused("-hkl a.mtz")

    def test_a_forked_process_renders(self, tmp_path: Path) -> None:
        code = (
            "import os, nanobrag_torch.cli.main as m\n"
            f"words = {list(SCENE)!r}\n"
            "assert m.main(words) == 0\n"
            "pid = os.fork()\n"
            "if pid == 0:\n    os._exit(m.main(words))\n"
            "assert os.waitpid(pid, 0)[1] == 0\n"
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=99, check=True, env=environment)

    def test_headers_of_newlines(self, run: Any) -> None:
        header = b"{\nHEADER_BYTES=400000;\nSIZE1=1;\nSIZE2=1;\n"
        Path("a.img").write_bytes(header.ljust(400000, b"\n") + b"\0\0")
        begun = time.perf_counter()
        assert nb_view(["a.img"]) == 0
        assert time.perf_counter() - begun < 5


class TestSecurity:
    @pytest.fixture
    def nexus(self, run: Any) -> Path:
        from nanobrag_torch.hostile.seeds import nexus

        Path("a.nxs").write_bytes(nexus())
        return Path("a.nxs")

    def test_a_good_file_is_shown(self, nexus: Path) -> None:
        assert nb_view([str(nexus), "--frame", "2"]) == 0

    @pytest.mark.parametrize("how", ["link", "virtual", "raw"])
    def test_nexus_files_stay_in_their_folder(self, how: str, nexus: Path, tmp_path: Path, capfd: Any) -> None:
        import h5py

        secret = tmp_path / "secret.h5"
        with h5py.File(secret, "w") as file:
            file["/entry/data/data"] = np.full((2, 16, 10), 77, dtype=np.int32)
        with h5py.File(nexus, "a") as file:
            del file["/entry/data/data"]
            if how == "link":
                file["/entry/data/data"] = h5py.ExternalLink("../secret.h5", "/entry/data/data")
            elif how == "virtual":
                layout = h5py.VirtualLayout((2, 16, 10), np.int32)
                layout[:] = h5py.VirtualSource(str(secret), "/entry/data/data", (2, 16, 10))
                file["/entry/data"].create_virtual_dataset("data", layout)
            else:
                raw = [(str(secret), 0, 1280)]
                file.create_dataset("/entry/data/data", (2, 16, 10), np.int32, external=raw)
        assert nb_view([str(nexus)]) == 9
        assert "outside the folder of the file" in capfd.readouterr().err
        assert not Path("a.html").exists()

    def test_data_made_of_themselves(self, nexus: Path, capfd: Any) -> None:
        import h5py

        with h5py.File(nexus, "a") as file:
            del file["/entry/data/data"]
            layout = h5py.VirtualLayout((2, 16, 10), np.int32)
            layout[:] = h5py.VirtualSource(".", "/entry/data/data", (2, 16, 10))
            file["/entry/data"].create_virtual_dataset("data", layout)
        assert nb_view([str(nexus)]) == 9
        assert "made of itself" in capfd.readouterr().err

    def test_chains_that_go_in_circles(self, nexus: Path, capfd: Any) -> None:
        import h5py

        with h5py.File(nexus, "a") as file:
            place = "/entry/instrument/detector/transformations"
            for axis in file[place].values():
                axis.attrs["depends_on"] = axis.name
        assert nb_view([str(nexus)]) == 9
        assert "has no end" in capfd.readouterr().err

    def test_images_larger_than_memory(self, nexus: Path, capfd: Any) -> None:
        import h5py

        with h5py.File(nexus, "a") as file:
            del file["/entry/data/data"]
            file.create_dataset(
                "/entry/data/data", (1, 60000, 60000), np.int32, chunks=(1, 100, 100), compression="gzip"
            )
        assert nb_view([str(nexus)]) == 9
        assert "GB of images" in capfd.readouterr().err

    def test_nothing_of_the_working_directory_runs(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        trap = Path("golden_suite_generator/build/nanobragg_reference")
        trap.parent.mkdir(parents=True)
        trap.write_text("#!/bin/sh\ntouch trapped\n")
        trap.chmod(0o755)
        monkeypatch.delenv("NB_C_BIN", raising=False)
        with suppress(ParityError):
            assert find_c_program().path != trap.resolve()
        Path("numpy.py").write_text("open('trapped', 'w')")
        Path("a.mtz").write_bytes(mtz())
        assert run("-hkl a.mtz").status == 0
        assert not Path("trapped").exists()

    @pytest.mark.parametrize("name", ["{{PROGRAM}}.img", "{{DATA}}.img", "<script>.img", "{{STYLE}}.img"])
    def test_names_do_not_break_the_page(self, name: str, run: Any) -> None:
        Path(name).write_bytes(smv())
        assert nb_view([name, "-o", "page.html"]) == 0
        page = Path("page.html").read_text()
        assert page.count("</script>") == 3
        assert page.count("{{") == (2 if name.startswith("{{") else 0)


class TestMessages:
    def test_long_words_are_cut_short(self, run: Any) -> None:
        assert "(503 characters)" in run.refused("x" * 500)
        assert len(run.refused("-lambda " + "1" * 5000)) < 400

    def test_the_flag_of_a_missing_dump(self, run: Any) -> None:
        scene = " ".join(SCENE).replace("-default_F 50", "-dump missing.bin")
        ended = run(scene, scene=False)
        assert ended.status == 9
        assert ended.err.startswith("nanobrag: -dump: missing.bin is not there")

    def test_the_flag_of_a_file(self, run: Any) -> None:
        assert run.refused("-mat missing.mat").startswith("nanobrag: -mat missing.mat: unable to open")
        assert run.refused("-img missing.img").startswith("nanobrag: -img missing.img: unable to open")

    def test_far_fetched_suggestions(self, run: Any) -> None:
        assert "did you mean" not in run.refused("-bogus")
        assert "did you mean -distance?" in run.refused("-distanc 5")

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
    def test_marks_of_encodings(self, encoding: str, run: Any) -> None:
        Path("A.mat").write_bytes(MATRIX.decode().encode(encoding))
        Path("t.hkl").write_bytes(HKL.decode().encode(encoding))
        scene = " ".join(SCENE).replace("-cell 40 45 50", "-mat A.mat -hkl t.hkl")
        assert run(scene, scene=False).err == ""


class TestWorkers:
    @pytest.mark.parametrize(("work", "status"), [("", 143), ("with guard.piece_of_work():\n    ", 5)])
    def test_a_worker_that_is_ended_says_nothing(self, work: str, status: int) -> None:
        """It ends at once between two pieces of work, and leaves the blocks of a piece in order."""
        code = (
            "import os, sys, time\nfrom nanobrag_torch import guard\nguard.work_for_another()\n"
            f"try:\n print('on', flush=True)\n {work.replace(chr(10), chr(10) + ' ')}time.sleep(60)\n"
            "except KeyboardInterrupt:\n os._exit(5)\n"
        )
        with subprocess.Popen([sys.executable, "-P", "-c", code], stdout=-1, stderr=-1, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.1)
            process.terminate()
            _, said = process.communicate(timeout=20)
        assert (process.returncode, said) == (status, "")
