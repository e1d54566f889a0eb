"""Running bad command lines in one process, and judging what became of them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from nanobrag_torch.guard import FAULT
from nanobrag_torch.hostile.lines import BadLine, bad_lines
from nanobrag_torch.memory import peak_memory

REFUSED = 9
SLOW_S, WAITING_S = 5.0, 60.0
"""Seconds of the processor, and of the clock, that a small line may take."""
MEMORY = 4 * 2**30
"""Bytes of address space that a worker may take."""


@contextlib.contextmanager
def folder_of(line: BadLine) -> Iterator[Path]:
    """A folder with the files of a line; it is the working directory meanwhile."""
    before = os.getcwd()
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        for name, content in line.files.items():
            if name == "pipe":
                os.mkfifo(folder / name)
            elif content.startswith(b"-> "):
                (folder / name).symlink_to(content[3:].decode())
            else:
                (folder / name).write_bytes(content)
        os.chdir(folder)
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def judged(line: BadLine) -> tuple[int, str]:
    """The status of a line, and what is wrong with how it ended, or nothing."""
    from nanobrag_torch.cli.main import main

    with folder_of(line) as folder:
        before = _hashes(folder)
        out, err = io.StringIO(), io.StringIO()
        begun, ticked = time.process_time(), time.perf_counter()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(list(line.words))
        # Of the processor: a machine with other work makes everything slow, but for what waits for ever.
        took, waited = time.process_time() - begun, time.perf_counter() - ticked
        took = waited if waited > WAITING_S else took
        after = _hashes(folder)
        said = err.getvalue()
        changed = [name for name in before if after.get(name) != before[name]]
        new = [name for name in after if name not in before]
        return status, _problem(status, took, said, changed, new, folder, is_batch="-batch" in line.words)


def _problem(
    status: int, took: float, said: str, changed: list[str], new: list[str], folder: Path, is_batch: bool
) -> str:
    if "Traceback" in said:
        return "a traceback"
    if changed:
        return f"status {status}, and {changed[0]} is destroyed"
    if took > SLOW_S:
        return f"took {took:.1f} s"
    if any(name.endswith(".part") for name in new):
        return "left a temporary file"
    if status == FAULT:
        return f"unforeseen: {said.strip()[:300]}"
    if status not in (0, REFUSED):
        return f"status {status}"
    if is_batch:
        return ""
    errors = [text for text in said.splitlines() if not text.startswith("nanobrag: warning: ")]
    if status == REFUSED:
        if len(errors) != 1 or not errors[0].startswith("nanobrag: "):
            return f"refused with {len(errors)} lines: {said[:300]}"
        return f"refused, and wrote {new[0]}" if new else ""
    return _lie(new, folder)


def _lie(new: list[str], folder: Path) -> str:
    """Whether an image that was written cannot be."""
    for name in new:
        if name != "floatimage.bin":
            continue
        values = np.fromfile(folder / name, dtype=np.float32)
        if not np.isfinite(values).all() or (values < 0).any():
            return "status 0, and the image is negative or not finite"
    return ""


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in folder.iterdir():
        if path.is_file():
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main(argv: list[str] | None = None) -> int:
    """`python -m nanobrag_torch.hostile.judge FIRST COUNT`: findings as JSON lines, and a last one with numbers."""
    first, count = map(int, sys.argv[1:3] if argv is None else argv)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    found = done = 0
    slowest, statuses = 0.0, dict[str, int]()
    for number, line in enumerate(islice(bad_lines(), first, first + count), start=first):
        begun = time.process_time()
        status, problem = judged(line)
        statuses[str(status)] = statuses.get(str(status), 0) + 1
        slowest, done = max(slowest, time.process_time() - begun), done + 1
        if problem:
            found += 1
            told = {"number": number, "about": line.about, "words": list(line.words), "problem": problem}
            print(json.dumps(told), flush=True)
    peak = peak_memory() / 2**20
    told = {"done": "bad", "count": done, "found": found, "slowest_s": slowest, "peak_MB": peak, "statuses": statuses}
    print(json.dumps(told), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
