"""Everything beside a program with the original's defects, into reports/original.md.

The case table, random lines and the acceptance suite, each disagreement with the number of its deviation. The program
is the one that NB_C_BIN names, else the stand-in that `make -C golden_suite_generator` builds.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from nanobrag_torch.parity.case import Line, Result
from nanobrag_torch.parity.fuzz import random_line
from nanobrag_torch.parity.matrix import read_table, run_lines
from nanobrag_torch.parity.programs import STANDIN, CProgram, find_c_program

ROOT = Path(__file__).resolve().parents[1]


def row(name: str, results: list[Result]) -> str:
    failed = sum(r.failed for r in results)
    explained = sum(bool(r.explained) for r in results)
    equal = sum(r.equal for r in results)
    agree = len(results) - failed - explained
    return f"| {name} | {len(results)} | {agree} | {equal} | {explained} | {failed} |"


def details(results: list[Result]) -> list[str]:
    numbers: dict[str, list[str]] = {}
    for result in results:
        for text in result.explained:
            numbers.setdefault(text.split(":")[0], []).append(result.id)
    lines = []
    for n, ids in sorted(numbers.items()):
        lines.append(f"| {n} | {len(ids)} | {', '.join(ids[:4])}{' ...' if len(ids) > 4 else ''} |")
    worked = Counter(change.split(":")[0] for result in results for change in result.changes)
    counts = ", ".join(f"{n} in {count} lines" for n, count in sorted(worked.items()))
    lines += ["", f"Work-arounds in use: {counts}."]
    failed = [f"- **{r.id}**: {r.problems[0]}" for r in results if r.failed]
    return lines + ([""] + failed if failed else [])


def acceptance(c: CProgram) -> str:
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "tests/acceptance"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NB_C_BIN": str(c.path)})
    return re.sub(r" in [\d.]+s.*", "", done.stdout.strip().splitlines()[-1]).strip("= ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzz", type=int, default=120)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--no-acceptance", action="store_true")
    given = parser.parse_args()
    c = find_c_program(os.environ.get("NB_C_BIN") or str(ROOT / STANDIN))
    table = run_lines(read_table(ROOT / "tests/parity/cases.yaml"), c, given.jobs)
    made = [(i, random_line(1, i)) for i in range(given.fuzz)]
    fuzz = run_lines([Line(f"1:{i}", tuple(m.args), m.files) for i, m in made], c, given.jobs)
    fuzz.sort(key=lambda r: int(r.id.split(":")[1]))
    suite = "" if given.no_acceptance else f"\nAcceptance suite (`tests/acceptance`): {acceptance(c)}.\n"
    text = (
        f"""# Beside a program with the original's defects

Made by `scripts/original_table.py` with {c.version}. Agreement means images, headers, integer images and printed lines,
as `nb-parity` compares them. A disagreement is explained where both programs agree once the flags that call the defect
are taken away, or where each differing pixel holds a sample at whole Miller indices (`docs/parity.md`).

| lines | number | agree | equal in all bits | explained by number | disagree |
|---|---|---|---|---|---|
{row("case table", table)}
{row("random lines, seed 1", fuzz)}
{suite}
## By deviation

| deviation (`specs/deviations.md`) | lines | such as |
|---|---|---|
"""
        + "\n".join(details([*table, *fuzz]))
        + "\n"
    )
    (ROOT / "reports/original.md").write_text(text)
    print(text)
    return 3 if any(r.failed for r in [*table, *fuzz]) else 0


if __name__ == "__main__":
    sys.exit(main())
