"""Fuzz every reader and the command line for a while with inputs that no run has tried before.

    python scripts/fuzz.py --seconds 3600              every target in turn, mutated inputs of a new seed
    python scripts/fuzz.py --seconds 600 --only expt   one target; with atheris guided by coverage

Findings are kept in build/fuzz/, one file each, with what happened in findings.txt.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "fuzz"
PIECE = 2000


def keep(kind: str, content: bytes, problem: str) -> None:
    """Put a finding where it can be made a test of."""
    KEPT.mkdir(parents=True, exist_ok=True)
    place = KEPT / f"{kind}-{abs(hash(content)) % 10**10:010d}"
    place.write_bytes(content)
    with open(KEPT / "findings.txt", "a", encoding="utf-8") as file:
        file.write(f"{place.name}: {problem}\n")
    print(f"{place.name}: {problem}", flush=True)


def mutated(kind: str, seed: int, first: int) -> int:
    """A piece of mutated inputs in a process of its own; the number of findings."""
    from nanobrag_torch.hostile.targets import inputs

    words = [sys.executable, "-P", "-m", "nanobrag_torch.hostile", kind, str(seed), str(first), str(PIECE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = [line for line in told if "done" not in line]
    for one in found:
        keep(kind, next(inputs(kind, seed, one["number"], 1)), one["problem"])
    if not any("done" in line for line in told):
        print(f"{kind} {seed} {first}: ended with {done.returncode}: {done.stderr[-500:]}", flush=True)
        return len(found) + 1
    return len(found)


def guided(kind: str, seconds: int) -> int:
    """One target guided by coverage; atheris ends the process by itself."""
    import atheris

    with atheris.instrument_imports(include=["nanobrag_torch"]):
        from nanobrag_torch.hostile.seeds import seeds
        from nanobrag_torch.hostile.targets import targets, try_one

        readers = targets()
    folder = Path(tempfile.mkdtemp(prefix="nanobrag-fuzz-"))
    corpus = KEPT / "corpus" / kind
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds().get(kind, ())):
        (corpus / f"seed-{number}").write_bytes(content)

    def one(content: bytes) -> None:
        problem = try_one(kind, content, folder, readers)
        if problem:
            keep(kind, content, problem)
            raise AssertionError(problem)

    atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-rss_limit_mb=4096", "-timeout=10"], one)
    atheris.Fuzz()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3600, help="how long [3600]")
    parser.add_argument("--only", metavar="KIND", help="one target")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="of the mutations [random]")
    said = parser.parse_args()
    # Before anything of the package is imported, so that atheris can follow it.
    if said.only and importlib.util.find_spec("atheris"):
        return guided(said.only, said.seconds)
    from nanobrag_torch.hostile.targets import kinds

    if said.only not in (None, *kinds()):
        parser.error(f"--only takes one of {', '.join(kinds())}")
    print(f"seed {said.seed}", flush=True)
    end, first, found = time.monotonic() + said.seconds, 100, 0
    while time.monotonic() < end:
        for kind in (said.only,) if said.only else kinds():
            found += mutated(kind, said.seed, first)
        first += PIECE
    print(f"{first - 100} inputs of each target, {found} findings", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
