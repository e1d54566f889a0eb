from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from nanobrag_torch.parity.compare import main

LINE = [
    "-cell",
    "40",
    "45",
    "50",
    "-N",
    "4",
    "-default_F",
    "100",
    "-detpixels_x",
    "30",
    "-detpixels_y",
    "24",
    "-pixel",
    "0.4",
    "-distance",
    "60",
    "-oversample",
    "1",
    "-seed",
    "1",
]


@pytest.fixture
def script(tmp_path, c_program):
    """A C side made of shell lines; `$C` is the reference, `$@` the words."""

    def made(body: str, name: str = "nanoBragg") -> str:
        path = tmp_path / name
        path.write_text(
            f'#!/bin/sh\nC={c_program.path}\n[ "$1" = --version ] && {{ echo {name} of a test; exit 9; }}\n{body}\n'
        )
        path.chmod(0o755)
        return str(path)

    return made


def compared(tmp_path, *words: str) -> tuple[int, dict]:
    out = tmp_path / "out"
    status = main(["--outdir", str(out), *words, "--", *LINE])
    return status, json.loads((out / "summary.json").read_text())


def test_agreement_and_all_its_artifacts(c_program, tmp_path, capsys):
    status, told = compared(tmp_path, "--html", "--save-diff", "--repeat", "2")
    assert status == 0
    assert (told["verdict"], told["exit_status"], told["reasons"], told["notes"]) == ("agree", 0, [], [])
    assert told["metrics"]["correlation"] == 1.0
    assert told["metrics"]["peaks"]["matched"] > 0
    assert len(told["times"]["c"]["wall_s"]["all"]) == 2
    assert set(told["times"]["ratio"]) == {"render", "process"}
    assert told["c"]["is_reference"]
    assert told["py"]["torch"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {
        "summary.json",
        "report.html",
        "commands.txt",
        "c.png",
        "py.png",
        "difference.png",
        "difference.bin",
        "c.stdout",
        "c.stderr",
        "py.stdout",
        "py.stderr",
        "c_float.bin",
        "py_float.bin",
        "radial_profile.csv",
        "c_intimage.img",
    }
    assert set(told["files"]) <= names
    assert "AGREE" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") == 3


def test_the_keys_that_scripts_ask_for(script, tmp_path, monkeypatch):
    """Documented figures at the top level, the same as the nested ones, and where and with what they were made."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    brighter = script('exec $C "$@" -fluence 1.2e29')
    _, told = compared(tmp_path, "--c-bin", brighter)
    metrics = told["metrics"]
    assert told["correlation"] == metrics["correlation"] == pytest.approx(1.0)
    assert told["rmse"] == metrics["rmse"] > 0
    assert told["sum_ratio"] == metrics["sum_ratio"] == pytest.approx(1.25932015e29 / 1.2e29, rel=1e-6)
    assert told["max_abs_difference"] == metrics["max_difference"] > 0
    slow, fast = told["max_abs_difference_at"]
    assert [slow, fast] == metrics["max_difference_at"]
    images = [np.fromfile(tmp_path / "out" / f"{side}_float.bin", np.float32).reshape(24, 30) for side in ("c", "py")]
    apart = np.abs(images[0].astype(float) - images[1])
    assert apart[slow, fast] == apart.max() == pytest.approx(told["max_abs_difference"])
    assert told["mean_peak_distance"] == metrics["peaks"]["mean_distance"] == 0.0
    assert told["max_peak_distance"] == metrics["peaks"]["max_distance"] == 0.0
    assert told["region_size"] == [24, 30]
    assert told["environment"]["OMP_NUM_THREADS"] == "1"
    assert told["checkout"] is None or len(told["checkout"].rstrip("+")) == 40


def test_the_promised_bounds_decide(script, tmp_path):
    status, told = compared(tmp_path, "--c-bin", script('exec $C "$@" -fluence 1.259321e29'))
    assert status == 3
    assert any("sum, less 1" in reason for reason in told["reasons"])


def test_limits_of_ones_own_decide_instead(script, tmp_path):
    broken = script('exec $C "$@" -fluence 1.26e29')
    assert compared(tmp_path, "--c-bin", broken, "--threshold", "0.999")[0] == 0
    assert compared(tmp_path, "--c-bin", broken, "--sum-tolerance", "1e-6")[0] == 3
    assert compared(tmp_path, "--c-bin", broken, "--sum-tolerance", "1e-2")[0] == 0
    status, told = compared(tmp_path, "--c-bin", script('exec $C "$@" -misset 1 2 3'), "--threshold", "0.999")
    assert status == 3
    assert "correlation" in told["reasons"][0]


def test_single_precision_has_bounds_of_its_own(c_program, tmp_path):
    status, told = compared(tmp_path, "--dtype", "float32")
    assert status == 0
    assert "float32" in told["criterion"]


def test_only_the_region_counts(script, tmp_path):
    masked = script('$C "$@" || exit $?; printf "\\377\\377\\177\\114" | dd of=float.bin conv=notrunc 2>/dev/null')
    assert compared(tmp_path, "--c-bin", masked)[0] == 3
    status, told = compared(tmp_path, "--c-bin", masked, "--roi", "5", "20", "5", "20")
    assert status == 0
    assert told["metrics"]["pixels"] == 256


def test_shapes_that_differ(script, tmp_path, capsys):
    other = script('exec $C "$@" -detpixels_x 60 -detpixels_y 48 -pixel 0.2')
    assert compared(tmp_path, "--c-bin", other)[0] == 4
    assert "--resample" in capsys.readouterr().err
    status, told = compared(tmp_path, "--c-bin", other, "--resample", "--threshold", "0.5")
    assert status in (0, 3)
    assert any("stretched" in note for note in told["notes"])


def test_workarounds_are_for_the_original_only_and_reported(script, tmp_path, capsys):
    original = script('echo "$@" > /dev/stderr; exec $C "$@"')
    status = main(["--c-bin", original, "--outdir", str(tmp_path / "o"), "--", *LINE, "-phi", "0", "-osc", "1"])
    told = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert status == 0
    assert told["c"]["workarounds"][0].startswith("D01")
    assert "1.0000000000000001e-09" in (tmp_path / "o" / "c.stderr").read_text()
    assert main(["--outdir", str(tmp_path / "p"), "--", *LINE, "-phi", "0", "-osc", "1"]) == 0
    assert json.loads((tmp_path / "p" / "summary.json").read_text())["c"]["workarounds"] == []
    assert "work-around" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo dying; exit 7", ["C side ended with status 7", "| dying"]),
        ("kill -SEGV $$", ["SIGSEGV"]),
        ("echo slow; sleep 20", ["time limit", "| slow"]),
        ("echo 'what is -oversample?' >&2; exit 9", ["it objects to -oversample"]),
    ],
)
def test_a_failing_runner_is_reported_and_its_logs_kept(script, tmp_path, capsys, body, said):
    status, told = compared(tmp_path, "--c-bin", script(body), "--time-limit", "2")
    assert status == 2
    assert told["verdict"] == "failed"
    assert (tmp_path / "out" / "c.stdout").exists()
    err = capsys.readouterr().err
    assert all(text in err for text in said)


def test_our_side_can_fail_too(c_program, tmp_path, capsys):
    command = f"{sys.executable} -c 'import sys; sys.exit(\"no luck\")'"
    assert compared(tmp_path, "--py-bin", command)[0] == 2
    assert "no luck" in capsys.readouterr().err


def test_another_command_for_our_side(c_program, tmp_path):
    status, told = compared(tmp_path, "--py-bin", f"{sys.executable} -m nanobrag_torch -threads 1")
    assert status == 0
    assert told["times"]["py"]["render_s"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 1, "behind `--`"),
        (["--roi", "1", "2", "--", *LINE], 1, "--roi"),
        (["--repeat", "0", "--", *LINE], 1, "--repeat"),
        (["--png-scale", "0", "--", *LINE], 1, "--png-scale"),
        (["--time-limit", "-1", "--", *LINE], 1, "--time-limit"),
        (["-N", "4", "--", *LINE], 1, "unrecognized"),
        (["--c-bin", "/nowhere", "--", *LINE], 2, "/nowhere"),
        (["--outdir", "/proc/nowhere/x", "--", *LINE], 5, "/proc"),
        (["--roi", "900", "901", "0", "1", "--", *LINE], 1, "no pixel"),
    ],
)
def test_bad_input(c_program, tmp_path, monkeypatch, capsys, words, status, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == status
    assert said in capsys.readouterr().err


def test_help_is_about_the_harness(capsys):
    assert main(["--help"]) == 0
    assert "--sum-tolerance" in capsys.readouterr().out


def test_input_files_are_found_from_where_one_stands(c_program, tmp_path, monkeypatch):
    (tmp_path / "t.hkl").write_text("0 0 0 5\n1 0 0 7\n")
    monkeypatch.chdir(tmp_path)
    assert main(["--outdir", "o", "--", *LINE, "-hkl", "t.hkl", "-floatfile", "/nowhere/else.bin"]) == 0
    ours, theirs = (np.fromfile(f"o/{side}_float.bin", np.float32) for side in ("py", "c"))
    assert np.array_equal(ours, theirs)
