"""Runs and series that a signal ends at a random time, and that are then run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from trial.inputs import Piece
from trial.processes import PROGRAM, SCENE, Told, files_in, limited, report

KILLS = 50
ENDED = (0, 129, 130, 143, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)
QUICKER = ("-oversample", "3", "-phisteps", "8")


def kills() -> Iterator[Piece]:
    """Every kill has a number, which decides everything about it but the moments of the clock."""
    for number in range(KILLS):
        yield f"{number:03d}", partial(killed, number)


def killed(number: int) -> Told:
    """Nothing half, nothing lost; the run after it gives what a run gives that nobody kills."""
    rng = random.Random(number)
    name = rng.choice(("KILL", "KILL", "TERM", "HUP", "INT"))
    series = number % 2 == 0
    own = ["-frames", "4", "-cbf", "out_#.cbf"] if series else ["-cbf", "out.cbf", "-nexus", "out.nxs"]
    words = [*PROGRAM, *SCENE, *QUICKER, *own, "-quiet"]
    with tempfile.TemporaryDirectory() as place:
        folder, clean = Path(place, "killed"), Path(place, "clean")
        folder.mkdir()
        clean.mkdir()
        whole = limited(words, clean)
        wanted = files_in(clean)
        (folder / "mine.txt").write_text("mine")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, env=environment)
        time.sleep(rng.uniform(0.3, 1.0) * whole["seconds"])
        process.send_signal(getattr(signal, f"SIG{name}"))
        took, waited, err = ending(process)
        status = process.returncode
        problems = ["a traceback"] if "Traceback" in err else []
        if name != "KILL" and status not in ENDED:
            problems.append(f"status {status}")
        if took - waited > 1.0 + 0.5 * whole["seconds"] * (status == 0):
            problems.append(f"ended {took:.1f} s later, of which it was kept waiting {waited:.1f} s")
        problems += [f"{file} is half" for file in half(files_in(folder), wanted, series)]
        problems += after(limited(words, folder), files_in(folder), wanted, series)
    late = {"signal": name, "took_s": took, "kept_waiting_s": waited, "status": status}
    return report([f"kill {number}, SIG{name}: {text}" for text in problems], **late)


def half(found: dict[str, bytes], wanted: dict[str, bytes], series: bool) -> list[str]:
    """Files that are neither as they should be nor of a kind that carries the time of day."""
    dated = (".series", ".nxs") if series else (".series", ".nxs", ".cbf")
    return [name for name, held in found.items() if not name.endswith(dated) and wanted.get(name, held) != held]


def after(again: Told, found: dict[str, bytes], wanted: dict[str, bytes], series: bool) -> list[str]:
    """What is wrong with the run after a kill."""
    problems = []
    if again["status"] != 0:
        problems.append(f"the run after it: status {again['status']}: {again['err'][-200:]}")
    if set(found) != {*wanted, "mine.txt"}:
        problems.append(f"the run after it left {sorted(set(found) ^ {*wanted, 'mine.txt'})}")
    if series and any(found.get(name) != held for name, held in wanted.items() if name.endswith(".cbf")):
        problems.append("the series is not what it is without the kill")
    return problems


def ending(process: subprocess.Popen[bytes]) -> tuple[float, float, str]:
    """Wait for the end of a process: seconds, those in which it was ready to run or waited for a disk, its errors.

    The kernel counts how long a thread is ready without being given a processor (`schedstat`, second number), and how
    long it waits for a disk (`stat`, field 42): on a machine that others use too, that is not this program's doing.
    """
    begun, start, last = time.perf_counter(), kept_waiting(process.pid), 0.0
    while process.poll() is None:
        last = max(last, kept_waiting(process.pid))
        time.sleep(0.01)
    took = time.perf_counter() - begun
    err = process.stderr.read().decode(errors="replace") if process.stderr else ""
    return took, min(max(last - start, 0.0), took), err


def kept_waiting(pid: int) -> float:
    """Seconds for which the main thread of a process has been kept waiting so far."""
    try:
        queue = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
        disk = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[39]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
    return queue + disk
