"""`python -m nanobrag_torch.hostile KIND SEED FIRST COUNT`: fuzz one target, with limits; findings as JSON lines."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from nanobrag_torch.hostile.targets import inputs, targets, try_one
from nanobrag_torch.memory import peak_memory

MEMORY = 4 * 2**30
"""Bytes of address space."""
SLOW_S, WAITING_S = 5.0, 60.0
"""Seconds of the processor, and of the clock, that an input may take."""


def main(argv: list[str] | None = None) -> int:
    """Print a line per finding, and a last line with numbers; 0, or 1 if there is a finding."""
    words = sys.argv[1:] if argv is None else argv
    kind, seed, first, count = words[0], *map(int, words[1:4])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    readers, found, slowest, begun = targets(), 0, 0.0, time.perf_counter()
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as name:
        for number, content in enumerate(inputs(kind, seed, first, count), start=first):
            then, ticked = time.process_time(), time.perf_counter()
            problem = try_one(kind, content, Path(name), readers)
            # Of the processor: a machine with other work makes everything slow, but for what waits for ever.
            took, waited = time.process_time() - then, time.perf_counter() - ticked
            took = waited if waited > WAITING_S else took
            slowest = max(slowest, took)
            if took > SLOW_S:
                problem = problem or f"took {took:.1f} s"
            if problem:
                found += 1
                print(json.dumps({"kind": kind, "seed": seed, "number": number, "problem": problem[:400]}), flush=True)
    peak = peak_memory() / 2**20
    seconds = time.perf_counter() - begun
    told = {"done": kind, "count": count, "found": found, "slowest_s": slowest, "peak_MB": peak, "seconds": seconds}
    print(json.dumps(told), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
