#!/usr/bin/env python3
"""Run every case of a golden set through a nanoBragg-like program and compare.

usage: check_reference.py PROGRAM [GOLDEN_FOLDER] [--only TEXT]

GOLDEN_FOLDER defaults to the environment variable NANOBRAG_GOLDEN. Needs numpy only.
Prints one line per case, worst first, and exits with 1 if any case is outside the bounds.
"""
import argparse
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

import reference_stats
import reference_traces

RELATIVE_L2 = 3e-7
SUM = 1e-7
TRACE = 1e-9


def absolute_paths(args, folder):
    """Input files are named relative to the golden folder."""
    return [str(folder / a) if a.startswith("inputs/") else a for a in args]


def run(program, case, folder, work, extra=()):
    command = [program, *absolute_paths(case["args"], folder), "-noprogress", *extra]
    return subprocess.run(command, cwd=work, capture_output=True, text=True)


def smv(path):
    data = pathlib.Path(path).read_bytes()
    size = int(re.search(rb"HEADER_BYTES=(\d+)", data).group(1))
    return data[:size].decode("latin-1"), np.frombuffer(data[size:], np.uint16)


def pgm(path):
    data = pathlib.Path(path).read_bytes()
    head = re.match(rb"P5\n\d+ \d+\n#[^\n]*\n255\n", data).group(0)
    return np.frombuffer(data[len(head):], np.uint8), head.decode()


def image_errors(ours, theirs, tophat):
    """Numbers of the agreement table, each divided by its bound (1 is the limit)."""
    ours, theirs = ours.astype(float), theirs.astype(float)
    d = np.abs(ours - theirs)
    top = np.abs(theirs).max()
    over = np.maximum(d / (1e-5 * np.abs(theirs) + 1e-9 * top), d / (1e-6 * top))
    free = over.size // 10000 if tophat else 0
    if free:
        keep = np.argsort(over, axis=None)[: over.size - free]
        ours, theirs, over = ours.flat[keep], theirs.flat[keep], over.flat[keep]
    norm = np.sqrt((theirs ** 2).sum())
    return {
        "L2": np.sqrt(((ours - theirs) ** 2).sum()) / norm / RELATIVE_L2,
        "pixel": over.max(),
        "sum": abs(ours.sum() / theirs.sum() - 1) / SUM,
    }


def counts_error(ours, theirs):
    """Equal, or off by one on at most one pixel in 1,000."""
    d = np.abs(ours.astype(int) - theirs.astype(int))
    return 2.0 if d.max() > 1 else (d > 0).sum() / max(1, d.size // 1000)


def header_problems(case, text):
    """The C program's lines, in order; ADC_OFFSET and a HEADER_BYTES of 1024 are ours."""
    ours = [x for x in text.split("\n") if "=" in x and not x.startswith("ADC_OFFSET")]
    theirs = [f"{k}={v}" for k, v in case["header_values"].items()]
    trimmed = [x.rstrip(";") for x in ours]
    long = "HEADER_BYTES=1024;" in ours
    wrong = [f"{a} != {b}" for a, b in zip(trimmed, theirs)
             if a != b and not (long and (a.startswith("HEADER_BYTES") or a.startswith(b)))]
    if len(ours) != len(theirs) and not long:
        wrong.append(f"{len(ours)} lines, not {len(theirs)}")
    if "smv_header" in case and not long:
        text_lines = case["smv_header"].split("\n")
        wrong += [f"missing {x!r}" for x in text_lines if "=" in x and x not in text.split("\n")]
    return wrong


def compare_image(case, arrays, work, full):
    errors, notes = {}, []
    name = {"image": "image", "image_corrected": "image_corrected"}.get(case["verdict"])
    if name:
        crop = case.get("crop")
        part = full[crop[0]:crop[1], crop[2]:crop[3]] if crop else full
        errors.update(image_errors(part, arrays[name], "-tophat_spots" in case["args"] or "-binary_spots" in case["args"]))
        if name == "image":
            equal = hashlib.sha256(full.tobytes()).hexdigest() == case["from_image"]["sha256_float32_le"]
        else:
            equal = np.array_equal(part, arrays[name])
        notes.append("bit-equal" if equal else f"{int((part != arrays[name]).sum())} px differ")
    if case["verdict"] != "none":
        total = (case.get("corrected") or case["from_image"])["sum"]
        errors["full sum"] = abs(full.sum(dtype=float) / total - 1) / SUM
    if case["verdict"] == "image":
        for key, array in (("intimage", smv(work / "intimage.img")[1]), ("pgm", None)):
            if key in arrays:
                array = pgm(work / "image.pgm")[0] if key == "pgm" else array
                errors[key] = counts_error(array.reshape(arrays[key].shape), arrays[key])
        if "noise" in arrays:
            same = np.array_equal(smv(work / "noiseimage.img")[1].reshape(arrays["noise"].shape), arrays["noise"])
            notes.append("noise equal" if same else "noise differs")
            errors["noise"] = 0.0 if same or "bit-equal" not in notes else 2.0
    return errors, notes


def check_case(program, case, folder):
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        begun = time.time()
        done = run(program, case, folder, work)
        seconds = time.time() - begun
        if done.returncode:
            return {"status": 99.0}, [done.stderr.strip()[-200:]], seconds
        with np.load(folder / "images" / (case["id"] + ".npz")) as z:
            arrays = {k: z[k] for k in z.files}
        full = np.fromfile(work / "floatimage.bin", np.float32).reshape(case["spixels"], case["fpixels"])
        errors, notes = compare_image(case, arrays, work, full)
        problems = header_problems(case, smv(work / "intimage.img")[0])
        if case["verdict"] == "image":
            problems += reference_stats.problems(case["stats"], done.stdout)
        errors["text"] = 2.0 * len(problems)
        notes += problems[:3]
    for trace in case.get("traces", []):
        with tempfile.TemporaryDirectory() as name:
            worst, where = reference_traces.compare(folder / trace, lambda extra: run(program, case, folder, name, extra))
        errors["trace"] = max(errors.get("trace", 0.0), worst / TRACE)
        if worst > TRACE:
            notes.append(f"{os.path.basename(trace)} {where} {worst:.2g}")
    return errors, notes, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("golden", nargs="?", default=os.environ.get("NANOBRAG_GOLDEN"))
    parser.add_argument("--only", default="", help="cases whose id contains this text")
    options = parser.parse_args()
    if not options.golden:
        parser.error("name the golden folder or set NANOBRAG_GOLDEN")
    folder, program = pathlib.Path(options.golden).resolve(), str(pathlib.Path(options.program).resolve())
    rows = []
    for case in reference_stats.load(folder / "cases.json"):
        if options.only in case["id"]:
            errors, notes, seconds = check_case(program, case, folder)
            rows.append((max(errors.values(), default=0.0), case, errors, notes, seconds))
    rows.sort(key=lambda row: -row[0])
    print("worst error as a fraction of its bound (1 is the limit)")
    for worst, case, errors, notes, seconds in rows:
        kind = max(errors, key=errors.get) if errors else "-"
        print(f"{worst:10.3g} {kind:9s} {seconds:6.2f} s  {case['verdict']:15s} {case['id']:36s} {'; '.join(notes)}")
    failed = sum(row[0] > 1.0 for row in rows)
    equal = sum("bit-equal" in row[3] for row in rows)
    print(f"{len(rows)} cases, {failed} outside the bounds, {equal} float images bit-equal")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
