"""Compile the kernels for cards without one: `python scripts/compile_for_cards.py`; fails where registers spill.

NVRTC compiles csrc/card.cu for compute capabilities 7.0 to 12.0, for the plainest scene and for scenes with
more of everything. What it says of registers and spills is printed as a table.
"""

import argparse
import io
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from nanobrag_torch.kernels import cuda
from nanobrag_torch.kernels.card import Question

CAPABILITIES = ((7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0))
ROUND = "everything, round, interpolated, on a sphere"
"""Too much for 255 registers: its derivatives may spill."""

EVERY_QUESTION = ((7, 0), (9, 0), (12, 0))
"""On these every question is compiled; on the others the image alone, which is what most people ask for."""

PLAIN = (0, 1, 0, 0, 9, 9, 9, -4, -4, -4, 1, 1, 1, 1, 1, 64, 0, 0, 0, 1, 0, 0, 0, 0, 0)
SCENES = {
    "plain, double": PLAIN,
    "plain, single": (*PLAIN[:3], 1, *PLAIN[4:]),
    "everything, square": (*PLAIN[:12], 3, 2, 2, 64, 0, 0, 1, 1, 1, 1, 1, 2, 1),
    "gauss, curved": (2, *PLAIN[1:16], 1, *PLAIN[17:]),
    "interpolated, a sensor": (0, 2, *PLAIN[2:13], 3, *PLAIN[14:18], 1, *PLAIN[19:]),
    ROUND: (1, 2, *PLAIN[2:12], 3, 2, 2, 64, 2, 0, 1, 1, 1, 1, 1, 2, 1),
}
"""Configurations in the order of csrc/problem.h."""

SPILLS = re.compile(r"entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+)", re.S)


def compiled(capability: tuple[int, int], question: Question) -> list[tuple[str, int, int]]:
    """Entries with their spilled bytes and registers."""
    log = io.StringIO()
    cuda.compiled(question, capability, log=log)
    return [(name, int(out) + int(back), int(used)) for name, out, back, used in SPILLS.findall(log.getvalue())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one capability")
    given = parser.parse_args()
    capabilities = ((9, 0),) if given.quick else CAPABILITIES
    jobs = [
        (capability, name, Question(question, config))
        for capability in capabilities
        for name, config in SCENES.items()
        for question in ("SUM", "VJP", "JVP")
        if question == "SUM" or capability in EVERY_QUESTION
    ]
    start, spilled = time.perf_counter(), 0
    with ThreadPoolExecutor(given.workers) as pool:
        found = pool.map(lambda job: compiled(job[0], job[2]), jobs)
        for (capability, name, _), entries in zip(jobs, found, strict=True):
            for entry, spill, registers in entries:
                spilled += spill > 0 and name != ROUND
                words = f"sm_{capability[0]}{capability[1]:<3} {name:<46} {entry:<28} {registers:>4} registers"
                print(words + (f"  SPILLS {spill} bytes" if spill else ""), flush=True)
    print(f"{len(jobs)} programs in {time.perf_counter() - start:.0f} s, {spilled} entries spill")
    return 1 if spilled else 0


if __name__ == "__main__":
    sys.exit(main())
