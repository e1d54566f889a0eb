"""Copy the golden cases that use no third-party input into tests/golden_data, with only what the tests read.

python scripts/copy_golden_data.py FULL_SET
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parent.parent / "tests" / "golden_data"
FIELDS = ("id", "group", "args", "verdict", "fpixels", "spixels", "crop", "corrected", "pgm_header", "traces", "stats")
LARGEST = 400_000
"""Bytes of a stored case beyond which it stays in the full set."""
TITLE = """# Golden cases

Reference images of nanoBragg.c (upstream version of July 2026, one thread) for {count} command lines, made by
`scripts/copy_golden_data.py` from the full set: the cases whose inputs were written for this project, with only what
the tests read. `cases.json` lists them (`args` relative to this folder), `images/` holds the arrays, `traces/` the
quantities of single pixels, `inputs/` the files that the command lines name; `nanobrag_torch.parity.golden` reads them.
"""


def main() -> None:
    full = Path(sys.argv[1])
    third_party = (full / "inputs" / "THIRD_PARTY.txt").read_text().split()
    for name in ("images", "inputs", "traces"):
        shutil.rmtree(TARGET / name, ignore_errors=True)
        (TARGET / name).mkdir(parents=True)
    kept = []
    for case in json.loads((full / "cases.json").read_text()):
        inputs = [word for word in case["args"] if word.startswith("inputs/")]
        stored = full / "images" / f"{case['id']}.npz"
        if any(Path(name).name in third_party for name in inputs) or stored.stat().st_size > LARGEST:
            continue
        with np.load(stored) as arrays:
            wanted = (
                {"image", "intimage", "pgm", "noise"} if case["verdict"] in ("image", "none") else {case["verdict"]}
            )
            kept_arrays = {name: arrays[name] for name in arrays.files if name in wanted}
        if kept_arrays:
            np.savez_compressed(TARGET / "images" / stored.name, **kept_arrays)
        for name in inputs + case.get("traces", []):
            shutil.copyfile(full / name, TARGET / name)
        entry = {name: case[name] for name in FIELDS if name in case}
        kept.append(json.dumps(entry | {"header_values": case["header_values"]}, separators=(",", ":")))
    (TARGET / "cases.json").write_text("[\n" + ",\n".join(kept) + "\n]\n")
    (TARGET / "README.md").write_text(TITLE.format(count=len(kept)))


if __name__ == "__main__":
    main()
