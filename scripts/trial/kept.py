"""What is kept of the trial: a file for each piece in build/, and all of them in reports/robustness.json."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trial.inputs import Piece
from trial.processes import ROOT, Told

WORK = ROOT / "build" / "robustness"
RESULTS = ROOT / "reports" / "robustness.json"
PACKAGE = ROOT / "src" / "nanobrag_torch"
_TOLD = """
count findings slowest_s peak_MB statuses signal took_s kept_waiting_s status late_s rows sources
"""
KEPT = tuple(_TOLD.split())
"""Of what a piece tells."""
Results = dict[str, dict[str, Told]]
"""What pieces told, by part and name."""


def sources(package: Path = PACKAGE) -> str:
    """Eight digits that stand for the content of the package's sources: two equal ones were tried alike."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".c", ".h", ".cu") and path.is_file():
            found.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:8]


def read(results: Path = RESULTS, work: Path = WORK) -> Results:
    """All that was kept, in the repository and, newer, in the working folder."""
    found: Results = json.loads(results.read_text()) if results.exists() else {}
    for place in sorted(work.glob("*.json")):
        part, _, name = place.stem.partition("-")
        found.setdefault(part, {})[name.replace("_", " ")] = json.loads(place.read_text())
    return found


def merged(found: Results, results: Path = RESULTS) -> None:
    """Write what was found into the repository, one line for each piece."""
    parts = []
    for part, pieces in sorted(found.items()):
        lines = [f"  {json.dumps(name)}: {json.dumps(_shortened(told))}" for name, told in sorted(pieces.items())]
        parts.append(f" {json.dumps(part)}: {{\n" + ",\n".join(lines) + "\n }")
    _replace(results, "{\n" + ",\n".join(parts) + "\n}\n")


def _shortened(told: Told) -> dict[str, Any]:
    return {key: round(value, 3) if isinstance(value := told[key], float) else value for key in KEPT if key in told}


def forget(parts: Sequence[str], results: Path = RESULTS, work: Path = WORK) -> None:
    """Let parts, or all of them, begin anew."""
    found = read(results, work)
    for part in parts or tuple(found):
        found.pop(part, None)
        for place in work.glob(f"{part}-*.json"):
            place.unlink()
    merged(found, results)


def try_pieces(
    part: str, pieces: Iterable[Piece], wanted: int | None, results: Path = RESULTS, work: Path = WORK
) -> None:
    """Do what is not done of a part, and keep each piece as soon as it is there.

    Args:
        part: its name.
        pieces: all of its pieces.
        wanted: the number that is enough, so that later pieces are left out; `None` = do all of them.
    """
    work.mkdir(parents=True, exist_ok=True)
    state = sources()
    for name, work_of_piece in pieces:
        done = read(results, work).get(part, {})
        if name in done or (wanted is not None and sum(told["count"] for told in done.values()) >= wanted):
            continue
        begun = time.perf_counter()
        told = {**work_of_piece(), "sources": state}
        _replace(work / f"{part}-{name.replace(' ', '_')}.json", json.dumps(told))
        seconds, count, found = time.perf_counter() - begun, told["count"], len(told["findings"])
        print(f"{part} {name}: {count} in {seconds:.1f} s, {found} findings", flush=True)


def _replace(place: Path, text: str) -> None:
    temporary = place.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(place)
