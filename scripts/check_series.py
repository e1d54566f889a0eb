"""Kill a rotation series at random moments and compare it with an undisturbed one; measure the memory of a long one.

    python scripts/check_series.py [--kills 20] [--long 90] [--report reports/series.md]

The kills are SIGKILL. After each of them every file of a frame has to be byte for byte that of the undisturbed run,
and the series is started again with the same command; in the end nothing may be lost, doubled, left over or different.
`--kills 0` and `--long 0` leave a part out. Status 1 if anything is amiss.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SMALL = (
    "-cell 40 45 50 -misset 5 10 15 -default_F 50 -N 4 -pixel 1 -distance 100 -lambda 1.2 -oversample 1 "
    "-osc 1 -phisteps 10 -seed 7 -threads 1 -quiet -cbf out_#####.cbf -nexus sweep.nxs -noisefile noise.img"
)
LARGE = (
    f"-mat {EXAMPLES / 'A.mat'} -hkl {EXAMPLES / 'P1.hkl'} -lambda 1 -N 15 -distance 200 -pixel 0.172 "
    "-detpixels 1024 -oversample 1 -fluence 1e26 -osc 0.5 -phisteps 5 -seed 7 -quiet -nexus sweep.nxs"
)
MOST_MB = 800


def run(words: list[str], folder: Path) -> int:
    """Start a run in a child process; its number."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        from nanobrag_torch.cli.main import main

        os.chdir(folder)
        status = main(words)
    finally:
        os._exit(status)


def prepare() -> None:
    """Load everything once, so that a child starts drawing at once; nothing is computed, so forking is safe."""
    import fabio.compression  # noqa: F401
    import h5py  # noqa: F401
    import hdf5plugin  # noqa: F401

    import nanobrag_torch.cli.series
    import nanobrag_torch.pipeline.describe
    import nanobrag_torch.pipeline.simulator  # noqa: F401


def content(folder: Path) -> dict[str, str]:
    """The checksum of every file but the record, whose times differ, and parts of files."""
    paths = [path for path in folder.iterdir() if path.suffix not in (".series", ".part")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def undisturbed(words: list[str], folder: Path) -> float:
    """Run a series to its end; seconds."""
    folder.mkdir()
    began = time.perf_counter()
    _, status = os.waitpid(run(words, folder), 0)
    if status:
        sys.exit(f"the undisturbed run ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began


def kills(count: int, frames: int, pixels: int, folder: Path) -> list[str]:
    """Kill a series `count` times; what is amiss. A series that ends before is compared and begun again."""
    prepare()
    words = [*SMALL.split(), "-frames", str(frames), "-detpixels", str(pixels)]
    seconds = undisturbed(words, folder / "undisturbed")
    expected = content(folder / "undisturbed")
    disturbed, amiss, killed, series, finished = folder / "disturbed", [], 0, 1, 0
    disturbed.mkdir()
    print(f"undisturbed: {frames} frames, {len(expected)} files, {seconds:.1f} s\n")
    print("| kill | series | after (s) | files before | files after | parts left |\n|---|---|---|---|---|---|")
    while True:
        child, before = run(words, disturbed), len(content(disturbed))
        delay = random.uniform(0.0, 2.5 * seconds / count) if killed < count else 1e9
        ended, status = wait(child, delay)
        found = content(disturbed)
        parts = [path.name for path in disturbed.iterdir() if path.suffix == ".part"]
        amiss += [f"{name} differs after kill {killed}" for name in found if found[name] != expected.get(name)]
        if not ended:
            killed += 1
            print(f"| {killed} | {series} | {delay:.2f} | {before} | {len(found)} | {len(parts)} |", flush=True)
            if len(found) < before:
                amiss.append(f"{before - len(found)} files were lost in kill {killed}")
            continue
        finished += 1
        if status or parts or found != expected:
            amiss.append(f"series {series} ended with {status}, {len(found)} files and {len(parts)} parts")
        if killed >= count:
            break
        series += 1
        shutil.rmtree(disturbed)
        disturbed.mkdir()
    print(f"\n{killed} kills, {finished} series finished after them, {len(amiss)} faults")
    return amiss


def wait(child: int, delay: float) -> tuple[bool, int]:
    """Wait for a child, and kill it after a delay; whether it ended by itself, and its status."""
    end = time.perf_counter() + delay
    while time.perf_counter() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return True, os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status), os.waitstatus_to_exitcode(status)


def long(frames: int, folder: Path) -> list[str]:
    """Draw series of 1024 x 1024 pixels and print their memory; what is amiss."""
    amiss = []
    print("| frames of 1024 x 1024 | peak memory (MB) | whole time (s) | on disk (MB) |\n|---|---|---|---|", flush=True)
    for count in sorted({max(1, frames // 10), frames}):
        place = folder / f"long{count}"
        place.mkdir()
        words = [sys.executable, "-m", "nanobrag_torch", *LARGE.split(), "-frames", str(count)]
        began = time.perf_counter()
        child = subprocess.Popen(words, cwd=place)
        _, status, used = os.wait4(child.pid, 0)
        seconds, peak = time.perf_counter() - began, used.ru_maxrss * 1024 / 1e6
        disk = sum(path.stat().st_size for path in place.iterdir()) / 1e6
        print(f"| {count} | {peak:.0f} | {seconds:.0f} | {disk:.0f} |", flush=True)
        if status or peak > MOST_MB or len(list(place.glob("sweep_*.nxs"))) != count:
            amiss.append(f"{count} frames: status {status}, {peak:.0f} MB of at most {MOST_MB}")
        shutil.rmtree(place)
    return amiss


class Tee:
    """The standard output, kept as well."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text
        sys.__stdout__.write(text)

    def flush(self) -> None:
        sys.__stdout__.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=120, help="frames of the series that is killed")
    parser.add_argument("--pixels", type=int, default=100, help="pixels per side of its frames")
    parser.add_argument("--long", type=int, default=90, help="frames of 1 megapixel")
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills")
    parser.add_argument("--report", type=Path, default=None)
    given = parser.parse_args()
    random.seed(given.seed)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tee, amiss = Tee(), []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(tee):
        if given.kills:
            print("## Killed and started again\n")
            amiss += kills(given.kills, given.frames, given.pixels, Path(folder))
        if given.long:
            print("\n## Memory\n")
            amiss += long(given.long, Path(folder))
        print(*(f"\nAMISS: {text}" for text in amiss[:20]))
    if given.report:
        given.report.write_text(f"# Rotation series\n\nMade by scripts/check_series.py.\n\n{tee.text.strip()}\n")
    sys.exit(bool(amiss))


if __name__ == "__main__":
    main()
