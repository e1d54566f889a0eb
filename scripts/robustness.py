"""The trial of robustness, part by part, and its table in reports/robustness.md.

    python scripts/robustness.py                        everything that is not done yet, then the table
    python scripts/robustness.py --parts bad kills      some parts only; the others stay in the table as they were
    python scripts/robustness.py --parts kills --again  a part from its beginning
    python scripts/robustness.py --table                the table of what is done

What is done is kept piece by piece in build/robustness/ and then in reports/robustness.json, so that a trial that was
stopped goes on where it was, and a part that is tried again leaves the rest alone. Several parts can run at once.
"""

from __future__ import annotations

import argparse
import signal

from trial import kept
from trial.processes import ROOT
from trial.table import parts, table

REPORT = ROOT / "reports" / "robustness.md"


def heard_by_children() -> None:
    """Let children hear signals that this process was started to ignore, as behind `nohup` and `&`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # a handler is not handed on, ignoring is


def main() -> None:
    heard_by_children()
    known = parts()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=tuple(known), default=[], help="only these")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--again", action="store_true", help="forget what is done")
    parser.add_argument("--sources", action="store_true", help="print the digits that stand for the present sources")
    said = parser.parse_args()
    if said.sources:
        print(kept.sources())
        return
    if said.again:
        kept.forget(said.parts)
    for name, part in known.items():
        if not said.table and name in (said.parts or known):
            kept.try_pieces(name, part.pieces(), part.wanted if part.until else None)
    found = kept.read()
    kept.merged(found)
    REPORT.write_text(table(found))
    print(f"writing {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
