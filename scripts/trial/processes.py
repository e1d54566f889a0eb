"""Programs in processes of their own, and what a piece of the trial tells of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Told = dict[str, Any]
"""What a piece tells: `count`, `findings`, and numbers of its own."""
_SCENE = """
-cell 40 45 50 -default_F 50 -N 4 -detpixels 300 -pixel 0.5 -distance 100 -lambda 1.2 -oversample 6 -phisteps 20
-osc 1 -seed 1 -noprogress
"""
SCENE = tuple(_SCENE.split())
"""A scene that takes seconds."""
PROGRAM = (sys.executable, "-P", "-m", "nanobrag_torch")
MOST_S = 7200


def limited(command: list[str], folder: Path | None = None, **options: Any) -> Told:
    """A command with a limit of time: `status`, `out`, `err` and `seconds`; one thread unless `environment` differs."""
    begun = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("environment", {})}
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=MOST_S, env=environment, check=False, **options
        )
        status: int | str = done.returncode
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        status, out, err = "no end", "", ""
    return {"status": status, "out": out, "err": err, "seconds": time.perf_counter() - begun}


def in_a_worker(command: list[str], what: str, **options: Any) -> Told:
    """A command that prints findings as JSON lines and, last, its numbers; how it ended can be a finding too."""
    done = limited(command, **options)
    lines = [json.loads(line) for line in done["out"].splitlines() if line.startswith("{")]
    numbers = next((line for line in lines if "done" in line), None)
    findings = [line for line in lines if "done" not in line]
    if numbers is None:
        text = " ".join(done["err"][-1500:].split())
        return {"count": 0, "findings": [*findings, {"problem": f"{what}: ended with {done['status']}: {text}"}]}
    return {**numbers, "findings": [*findings, *numbers.get("findings", [])]}


def report(problems: list[str], **numbers: Any) -> Told:
    """What a piece of one try tells."""
    return {"count": 1, "findings": [{"problem": text} for text in problems], **numbers}


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
