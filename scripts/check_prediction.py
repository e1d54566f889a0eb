"""Hold our predictions to those of DIALS, and print how far they differ.

    python scripts/check_prediction.py EXPT [EXPT ...] [--d-min A] [--report FILE]

For every experiment list: the scan as it is, the same scan with a crystal that turns by 0.02° an image, and the still
at its middle. Observed spots beside it (the same name with `.refl`) are compared too. Needs DIALS on the PATH
(`dials.import`; Debian: apt-get install dials). Status 1 if a difference is beyond its bound.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nanobrag_torch import __version__
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.refl import read_refl
from nanobrag_torch.io.reflection_table import ReflectionTable
from nanobrag_torch.io.scene import rotation
from nanobrag_torch.spots import Spread, predict

HERE = Path(__file__).resolve().parent
BOUND_PX, BOUND_IMAGE = 0.02, 0.02
PROGRAM = """
import sys
from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory
from dials.algorithms import spot_prediction as p
e, d_min = ExperimentListFactory.from_json_file(sys.argv[1], check_format=False)[0], float(sys.argv[3])
if e.scan is None:
    t = p.StillsReflectionPredictor(e, dmin=d_min).for_ub(e.crystal.get_A())
elif e.crystal.num_scan_points:
    A = [e.crystal.get_A_at_scan_point(i) for i in range(e.crystal.num_scan_points)]
    t = p.ScanVaryingReflectionPredictor(e, dmin=d_min, margin=1).for_ub(flex.mat3_double(A))
else:
    t = p.ScanStaticReflectionPredictor(e, dmin=d_min).for_ub(e.crystal.get_A())
t.as_file(sys.argv[2])
"""


def variants(experiment: Measured) -> dict[str, Measured]:
    """The scan, with a crystal that varies, and the still in its middle."""
    crystal, scan = experiment.crystal, experiment.scan
    turned = [crystal.cell @ rotation([1, 1, 1], 0.02 * i).T for i in range(scan.images + 1)]
    middle = experiment.cell(scan.first - 1 + 0.5 * scan.images)
    return {
        "scan": experiment,
        "scan, crystal turning": replace(experiment, crystal=replace(crystal, points=np.array(turned))),
        "still": replace(experiment, goniometer=None, scan=None, crystal=replace(crystal, cell=middle)),
    }


def theirs(experiment: Measured, python: str, d_min: float) -> ReflectionTable:
    with tempfile.TemporaryDirectory() as folder:
        write_expt_list(Path(folder) / "a.expt", [replace(experiment, images=None)])
        words = [python, "-c", PROGRAM, "a.expt", "b.refl", str(d_min)]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return read_refl(Path(folder) / "b.refl")


def places(table: ReflectionTable, still: bool) -> dict[tuple, np.ndarray]:
    side = table["entering"] if "entering" in table and not still else np.zeros(len(table), bool)
    return {(*h, bool(e)): x for h, e, x in zip(table.indices.tolist(), side, table.predicted, strict=True)}


def compare(experiment: Measured, python: str, d_min: float) -> tuple[str, bool]:
    """A line of differences, and whether they are within bounds."""
    start = time.perf_counter()
    mine = predict(experiment, d_min, Spread(mosaicity_deg=0.1))
    taken = time.perf_counter() - start
    found = theirs(experiment, python, d_min)
    a, b = places(mine, experiment.still), places(found, experiment.still)
    both = sorted(set(a) & set(b))
    if not both:
        return "none in common", False
    away = np.abs(np.array([a[x] for x in both]) - np.array([b[x] for x in both]))
    pixels = away[:, :2].max(axis=1)
    line = f"{len(mine)} | {len(found)} | {len(both)} | {np.median(pixels):.1e} | {pixels.max():.1e} | "
    images = np.zeros(1) if experiment.still else away[:, 2]
    line += "– | – | " if experiment.still else f"{np.median(images):.1e} | {images.max():.1e} | "
    enough = len(both) >= (0.9 * len(found) if experiment.still else 0.97 * len(mine))
    return line + f"{1e3 * taken:.0f}", bool(enough and pixels.max() <= BOUND_PX and images.max() <= BOUND_IMAGE)


def observed(experiment: Measured, path: Path, d_min: float) -> str | None:
    """How far observed spots lie from our predictions."""
    if not path.is_file():
        return None
    table = read_refl(path)
    table = table.select(table.indexed())
    mine = predict(experiment, min(d_min, 0.5), beyond_deg=0.3)
    known = {tuple(h): x for h, x in zip(mine.indices.tolist(), mine.predicted, strict=True)}
    pairs = [
        (x, known[tuple(h)]) for h, x in zip(table.indices.tolist(), table.observed, strict=True) if tuple(h) in known
    ]
    away = np.array([x - y for x, y in pairs])
    middle, spread = np.median(away, axis=0), np.median(np.abs(away), axis=0)
    return f"{len(table)} | {len(pairs)} | " + " | ".join(
        f"{m:+.3f} ± {s:.3f}" for m, s in zip(middle, spread, strict=True)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expt", nargs="+", type=Path, help="experiment lists with one scan and one crystal each")
    parser.add_argument("--d-min", type=float, default=0.6, help="Å")
    parser.add_argument("--report", type=Path, default=HERE.parent / "reports" / "prediction.md")
    said = parser.parse_args()
    program = shutil.which("dials.import")
    if program is None:
        print("DIALS is not installed (Debian: apt-get install dials)", file=sys.stderr)
        return 2
    python = Path(program).read_text().splitlines()[0].removeprefix("#!").strip()
    lines = [
        "# Predictions beside those of DIALS",
        "",
        f"Made by `scripts/check_prediction.py` with nanobrag_torch {__version__}, to {said.d_min:g} Å; bounds "
        f"{BOUND_PX} pixel and {BOUND_IMAGE} image. DIALS lists some beyond the limit, and those that "
        "the space group extinguishes; of stills each takes the excitations within a width of its own.",
        "",
        "| experiment | case | ours | DIALS | both | median, px | max, px | median, image | max, image | ms | within |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    seen, failed = [], False
    for path in said.expt:
        (experiment,) = read_expt_list(path)
        for case, what in variants(experiment).items():
            line, good = compare(what, python, said.d_min)
            failed |= not good
            lines.append(f"| {path.stem} | {case} | {line} | {'yes' if good else '**no**'} |")
            print(lines[-1], flush=True)
        row = observed(experiment, path.with_suffix(".refl"), said.d_min)
        if row is not None:
            seen.append(f"| {path.stem} | {row} |")
            print(seen[-1], flush=True)
    if seen:
        lines += [
            "",
            "Observed centroids less predictions, before any refinement of ours (median ± median absolute deviation; "
            "pixels, pixels, images):",
            "",
            "| experiment | indexed | predicted | fast | slow | image |",
            "|---|---|---|---|---|---|",
            *seen,
        ]
    said.report.write_text("\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
