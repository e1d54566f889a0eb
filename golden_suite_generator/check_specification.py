#!/usr/bin/env python3
"""Check the numbers that the specification states: intensity.md 8, rng.md 8 and deviations.md A.

usage: check_specification.py PROGRAM RANDOM_VECTORS SPECIFICATION_FOLDER

PROGRAM is the simulator, RANDOM_VECTORS the small program built from test/random_vectors.c.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

COMMON = ("-detpixels_x 20 -detpixels_y 16 -pixel 0.4 -distance 60 -lambda 1.2 -oversample 1 "
          "-nopgm -nonoise -noprogress")
E0 = "-default_F 100 -cell 40 45 50 -N 4 " + COMMON
TILT = " -misset 10 20 30"
LAYERS = TILT + " -detector_thick 100 -detector_abs 300"
# deviations.md A: (identifier, command line, sum of the float image)
SUMS = [
    ("D01", E0 + TILT + " -phi 0 -osc 10 -phisteps 2", 8112.76),
    ("D02 omega", E0 + TILT + " -oversample 2 -oversample_omega", 8789.45),
    ("D02 polar", E0 + TILT + " -oversample 2 -oversample_polar", 8789.29),
    ("D02 both", E0 + TILT + " -oversample 2 -oversample_omega -oversample_polar", 8789.54),
    ("D02 thick", E0 + LAYERS + " -oversample_thick", 2327.06),
    ("D03", "-hkl t.hkl -default_F 12 -cell 20 24 26 -N 2 " + COMMON + TILT + " -pixel 2", 579.378),
    ("D03 nearest", "-hkl t.hkl -default_F 12 -cell 20 24 26 -N 2 " + COMMON + TILT + " -pixel 2 -nointerpolate",
     598.902),
    ("D07", E0 + TILT + " -nopolar -oversample_polar", 8201.23),
    ("D29", E0 + " -default_F 1e-9 -water 10 -fluence 1e24", 197.181),
]


def write_reflections(folder):
    with open(folder / "t.hkl", "w") as f:
        for h in range(-6, 7):
            for k in range(-7, 8):
                for l in range(-8, 9):
                    f.write(f"{h} {k} {l} {10 + (7 * h + 3 * k + 5 * l) % 11}\n")


def run(program, words):
    """Standard output and float image in an empty folder that holds t.hkl only."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_reflections(folder)
        done = subprocess.run([program, *words.split()], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            return done.stderr, None
        return done.stdout, np.fromfile(folder / "floatimage.bin", np.float32)


def table_rows(text, title):
    """Cells of the first table behind a title."""
    block = text[text.index(title):]
    lines = re.search(r"\n\n((?:\|.*\n)+)", block).group(1).splitlines()[2:]
    return [[c.strip() for c in line.strip("|").split(" | ")] for line in lines]


def intensity_rows(program, folder):
    before = ""
    for cells in table_rows((folder / "intensity.md").read_text(), "## 8."):
        cells = [c.strip("| ") for c in cells]
        words = re.search(r"`([^`]*)`", cells[0]).group(1)
        words = before + " " + words if cells[0].startswith("same") else words
        before = words
        default = "" if "-hkl" in words else "-default_F 100 "
        out, image = run(program, default + COMMON + " " + words)
        if image is None:
            yield words, False, out
            continue
        stats = re.search(r"max_I = (.*?)  at (.*)\nmean= (\S+) rms= (\S+) rmsd= (\S+)", out).groups()
        ours = [f"{stats[0]} at {stats[1]}", " / ".join(stats[2:])]
        ours += [f"{image.reshape(16, 20)[p[1], p[0]]:.9g}" for p in ((0, 0), (13, 5), (19, 15))]
        yield words, ours == cells[1:6], f"{ours} {cells[1:6]}"


def close(ours, theirs):
    return bool(np.allclose(ours, theirs, rtol=2e-6, atol=0))


def sum_rows(program):
    for name, words, expected in SUMS:
        out, image = run(program, words)
        total = float(image.sum(dtype=float)) if image is not None else np.nan
        yield name, close(total, expected), f"{total:.6g} {expected}"


def numbers(line):
    return [float(x) for x in line.split()]


def generator_rows(program, vectors, folder):
    text = (folder / "rng.md").read_text().replace("\u2212", "-")

    def drawn(*words):
        return numbers(subprocess.run([vectors, *words], capture_output=True, text=True).stdout)

    for seed, values in table_rows(text, "Uniform draws"):
        yield f"uniform {seed}", drawn("uniform", seed) == numbers(values), ""
    for cells in table_rows(text, "Random misset angles"):
        for seed in re.findall(r"-?\d+", cells[0]):
            out, _ = run(program, f"{E0} -misset_seed {seed} -misset random")
            found = re.search(r"misset angles: (.*) deg", out).group(1)
            yield f"misset {seed}", found.split() == cells[1:], found
    rows = "".join(re.findall(r"^U_\d: (.*)$", text, re.M)[i] + " " for i in range(2)).replace("|", " ")
    yield "rotation 1", bool(np.allclose(drawn("rotation", "1"), numbers(rows), rtol=0, atol=2e-12)), ""
    poisson = re.search(r"for each mean:\n((?:.*\n)+?)\n", text).group(1).replace("\n", " ").rstrip(". ")
    for part in poisson.split(";"):
        mean, values = part.split("→")
        yield f"poisson{mean}", drawn("poisson", mean.strip()) == numbers(values), str(drawn("poisson", mean.strip()))
    out, _ = run(program, E0.replace("-nonoise", "-seed 3"))
    yield "noise image", "32950 photons on noise image (0 overloads)" in out, ""


def main():
    program, vectors = (str(pathlib.Path(p).resolve()) for p in sys.argv[1:3])
    folder = pathlib.Path(sys.argv[3])
    failed = total = 0
    for rows in (intensity_rows(program, folder), sum_rows(program), generator_rows(program, vectors, folder)):
        for name, fine, detail in rows:
            total += 1
            failed += not fine
            print("ok  " if fine else "FAIL", name, "" if fine else detail)
    print(f"{total} rows, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
