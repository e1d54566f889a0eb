"""What starting up costs beside the commit before the programs were guarded: `python scripts/startup.py`.

Both are started in alternation, as whole processes with native libraries of their own, and the processor time of each
is taken, which other programs of the machine do not lengthen; medians.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "6c07020^"
"""The commit before the guard."""
STARTS = 31
MOST_MS = 20.0
START = """\
import runpy, sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
sys.path.insert(0, sys.argv.pop(1))
sys.argv[0] = "nanobrag"
runpy.run_module("nanobrag_torch", run_name="__main__", alter_sys=True)
"""
SCENE = "-cell 40 45 50 -default_F 50 -N 4 -detpixels 8 -lambda 1.2 -distance 100 -oversample 1 -nonoise -nopgm"
LINES = {"--version": ["--version"], "a refused line": ["-lambda", "x"], "a small image": SCENE.split()}


def measured() -> dict[str, dict[str, float]]:
    """By line: `before_ms` and `more_ms`, processor time."""
    with tempfile.TemporaryDirectory() as place:
        old, new = Path(place, "before"), Path(place, "now")
        for folder, commit in ((old, BEFORE), (new, "HEAD")):
            checked_out(commit, folder)
        return {name: compared(words, old / "src", new / "src", Path(place)) for name, words in LINES.items()}


def checked_out(commit: str, folder: Path) -> None:
    """The files of a commit with their native libraries."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    folder.mkdir()
    subprocess.run(["tar", "-x"], input=archive, cwd=folder, check=True)
    build = ["cmake", "--build", "b", "-j2"]
    for command in (["cmake", "-S", "src/nanobrag_torch/kernels/csrc", "-B", "b", "-DCMAKE_BUILD_TYPE=Release"], build):
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
    subprocess.run(["cmake", "--install", "b", "--prefix", "src"], cwd=folder, capture_output=True, check=True)


def compared(words: list[str], old: Path, new: Path, folder: Path) -> dict[str, float]:
    """The median processor time of a line, before and now."""
    times: dict[Path, list[float]] = {old: [], new: []}
    for number in range(STARTS):
        for source in (old, new) if number % 2 else (new, old):
            times[source].append(processor_s(words, source, folder))
    before, now = (sorted(times[source])[STARTS // 2] * 1000.0 for source in (old, new))
    return {"before_ms": before, "more_ms": now - before}


def processor_s(words: list[str], source: Path, folder: Path) -> float:
    """Processor seconds of one start with the package in `source`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-c", START, str(source), *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode not in (0, 9) or b"Traceback" in done.stderr:
        raise SystemExit(f"it does not start: {done.stderr.decode()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    for name, row in measured().items():
        print(f"{name}: {row['before_ms']:.0f} ms before, {row['more_ms']:+.1f} ms now (at most {MOST_MS:+g})")


if __name__ == "__main__":
    main()
