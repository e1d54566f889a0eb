"""Render every golden case in double and in single precision; print the table and keep it in reports/parity.md.

NANOBRAG_GOLDEN=folder python scripts/parity_table.py [text in the case's name]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nanobrag_torch.parity.golden import load_cases
from nanobrag_torch.parity.golden_table import double_row, markdown, single_row

HERE = Path(__file__).resolve().parent.parent
DOUBLE_TITLES = ("relative L2", "worst pixel", "sum - 1", "excused", "traces", "header, numbers, counts")
SINGLE_TITLES = ("1 - correlation", "sum - 1", "peaks lost")
TEXT = """# Agreement with the golden set

Made by `scripts/parity_table.py`: {count} cases, worst first; the last column is the largest figure of a row as a
fraction of its bound. {outside} outside the bounds; the worst is `{worst}` ({fraction:.3g} of its bound).

- worst pixel: largest difference over (value + 1e-4 of the largest pixel); bound 1e-5. Relative L2: bound 3e-7.
  Sum: bound 1e-7. Traces: bound 1e-9.
- single precision: bounds 1e-5 (1 - correlation), 1e-4 (sum), none of the 50 strongest peaks lost.
- no figures for the image: the case is drawn differently on purpose.

## Double precision

{double}
## Single precision

{single}"""


def main() -> int:
    folder = os.environ.get("NANOBRAG_GOLDEN") or HERE / "tests" / "golden_data"
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    cases = [case for case in load_cases(folder) if wanted in case.id]
    double = [double_row(case) for case in cases]
    single = [single_row(case) for case in cases if case.verdict in ("image", "image_corrected")]
    worst = max(double + single, key=lambda row: row.worst)
    outside = sum(row.worst > 1.0 for row in double + single)
    text = TEXT.format(
        count=len(cases),
        outside=outside or "None",
        worst=worst.case,
        fraction=worst.worst,
        double=markdown(DOUBLE_TITLES, double),
        single=markdown(SINGLE_TITLES, single),
    )
    print(text)
    if not wanted:
        (HERE / "reports" / "parity.md").write_text(text)
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
