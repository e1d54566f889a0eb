"""Signals, full and closed outputs, little memory, runs at once in one folder, a render after a fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from trial.inputs import Piece
from trial.kills import ending
from trial.processes import PROGRAM, SCENE, Told, files_in, limited, report

LATE_S = 1.0
IMAGE_BYTES = 360_000
"""Bytes of the float image of the scene."""


def signals() -> Iterator[Piece]:
    """Signals while native code computes; the children of nb-compare."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        yield name, partial(signal_latency, name)
    yield "nb-compare", compare_ends


def signal_latency(name: str) -> Told:
    """How soon a render ends whose every piece takes long, not counting what it is kept waiting by others."""
    problems = []
    with tempfile.TemporaryDirectory() as place:
        words = [*PROGRAM, *SCENE, "-detpixels", "8", "-oversample", "4000", "-phisteps", "2000"]
        process = subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        computing = begun_to_compute(process)
        if not computing:
            problems.append(f"it ended by itself with {process.returncode}")
        process.send_signal(getattr(signal, name))
        took, waited, err = ending(process)
        expected = 128 + getattr(signal, name)
        if process.returncode != expected or err.count("\n") != 1 or os.listdir(place):
            problems.append(f"status {process.returncode}, {err!r}, {os.listdir(place)}")
        if took - waited > LATE_S:
            problems.append(f"ended {took:.2f} s later, of which it was kept waiting {waited:.2f} s")
    return report([f"{name}: {text}" for text in problems], late_s=took - waited)


def begun_to_compute(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process has a second thread that has used a second of the processor; whether it came to that."""
    while process.poll() is None:
        for place in Path(f"/proc/{process.pid}/task").iterdir():
            if place.name == str(process.pid):
                continue
            try:
                if int((place / "schedstat").read_text().split()[0]) > 1e9:
                    return True
            except (OSError, IndexError):
                continue
        time.sleep(0.05)
    return False


def compare_ends() -> Told:
    """nb-compare, ended while a side of it runs, leaves no child."""
    problems = []
    with tempfile.TemporaryDirectory() as place:
        slow, started = Path(place, "slow"), Path(place, "started")
        slow.write_text(f"#!/bin/sh\nsleep 987 & echo $! > {started}; wait\n")
        slow.chmod(0o755)
        words = [sys.executable, "-P", "-c", "from nanobrag_torch.parity.compare import main; raise SystemExit(main())"]
        own = ["--c-bin", str(slow), "--py-bin", str(slow), "--", *SCENE]
        process = subprocess.Popen([*words, *own], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(1200):
            if started.exists() and started.read_text().strip():
                break
            time.sleep(0.1)
        process.terminate()
        err = process.communicate(timeout=60)[1].decode(errors="replace")
        time.sleep(0.5)
        child = started.read_text().strip() if started.exists() else ""
        if not child:
            problems.append(f"nb-compare has not started its children: {err[-200:]!r}")
        elif runs(int(child)):
            problems.append("nb-compare left a child")
        if "Traceback" in err or process.returncode != 128 + signal.SIGTERM:
            problems.append(f"nb-compare: status {process.returncode}: {err[-200:]!r}")
    return report(problems)


def runs(pid: int) -> bool:
    """Whether a process is there that has not ended yet; one that nobody has asked for its status has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


OUTPUTS = {
    "output": ("ulimit -f 100; exec {} -quiet", 9),
    "stdout full": ("exec {} > /dev/full", 70),
    "stdout closed": ("exec {} >&-", 0),
    "reader left": ("{} | head -1; exit ${{PIPESTATUS[0]}}", 0),
}
"""By name: how the program is called, and the status it should have."""


def disks() -> Iterator[Piece]:
    """Outputs that cannot be written, and too little memory."""
    for kind in OUTPUTS:
        yield kind, partial(full_disk, kind)
    yield "low memory", low_memory


def full_disk(kind: str) -> Told:
    """No room for what is written: a line, a status, and what was there before."""
    shell, expected = OUTPUTS[kind]
    before = {"floatimage.bin": b"mine", "intimage.img": b"mine"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, content in before.items():
            (folder / name).write_bytes(content)
        done = limited(["bash", "-c", shell.format(" ".join([*PROGRAM, *SCENE]))], folder)
        found = files_in(folder)
    good = found == before if kind == "output" else len(found["floatimage.bin"]) == IMAGE_BYTES
    problems = [] if good and done["status"] == expected else [f"status {done['status']}, {done['err'][-200:]!r}"]
    problems += ["a traceback"] if "Traceback" in done["err"] else []
    return report([f"{kind}: {text}" for text in problems])


def low_memory() -> Told:
    """A render in less memory than it needs: one line."""
    shell = " ".join([*PROGRAM, *SCENE, "-detpixels", "11000", "-oversample", "1", "-phisteps", "1"])
    with tempfile.TemporaryDirectory() as place:
        done = limited(["bash", "-c", f"ulimit -v 3000000; exec {shell}"], Path(place))
        good = done["status"] in (9, 70) and len(done["err"].splitlines()) == 1 and "Traceback" not in done["err"]
        left = os.listdir(place)
    return report([] if good and not left else [f"low memory: {done['status']}, {left}, {done['err'][-300:]!r}"])


BESIDE = {
    "same names": ["-quiet"],
    "one series": ["-quiet", "-frames", "3", "-cbf", "out_#.cbf"],
    "one dump": ["-quiet", "-hkl", "in.hkl"],
}


def together() -> Iterator[Piece]:
    """Four runs at once in one folder; a render after a fork."""
    for kind in BESIDE:
        yield kind, partial(at_once, kind)
    yield "fork", forked


def at_once(kind: str) -> Told:
    """Four runs at once in one folder."""
    problems = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = [f"{h} {k} {l} 10\n" for h in range(9) for k in range(9) for l in range(9)]
        (folder / "in.hkl").write_text("".join(rows))
        words = [*PROGRAM, *SCENE, *BESIDE[kind]]
        running = [
            subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(4)
        ]
        ended = [(p.communicate()[1].decode(errors="replace"), p.returncode) for p in running]
        allowed = {0, 9} if kind == "one series" else {0}
        if any(status not in allowed or "Traceback" in err for err, status in ended):
            problems.append(f"{ended}")
        if not any(status == 0 for _, status in ended):
            problems.append("none of them finished")
        if any(name.endswith(".part") for name in os.listdir(folder)):
            problems.append("a temporary file is left")
    return report([f"{kind}: {text}" for text in problems])


def forked() -> Told:
    """A plainly forked process that renders after its parent has."""
    code = (
        "import os, sys, nanobrag_torch.cli.main as m\n"
        f"words = {[*SCENE, '-quiet', '-detpixels', '40']!r}\n"
        "assert m.main(words) == 0\n"
        "first = open('floatimage.bin', 'rb').read()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    status = m.main(words)\n    os._exit(status)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "assert open('floatimage.bin', 'rb').read() == first\n"
    )
    command = ["timeout", "120", sys.executable, "-P", "-c", code]
    with tempfile.TemporaryDirectory() as place:
        done = limited(command, Path(place), environment={"OMP_NUM_THREADS": "2"})
    return report([] if done["status"] == 0 else [f"fork: {done['status']}: {done['err'][-300:]}"])
