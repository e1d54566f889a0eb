#!/usr/bin/env python3
"""Draw the golden set anew with a nanoBragg-like program, with its provenance beside it.

usage: regenerate.py PROGRAM FOLDER [--inputs FOLDER] [--only TEXT]

The command lines are those of cases.json in this folder. FOLDER is made: images/<id>.npz, inputs/, cases.json (printed
numbers, header values, sums and checksums) and provenance.json (program, checksum, version, date, every command). The
input files are taken from --inputs: a golden set's own inputs/, by default that of NANOBRAG_GOLDEN, else of
tests/golden_data; cases whose inputs are not there are left out and named. Needs numpy only.

`check_reference.py PROGRAM FOLDER` says which stored data another program does not reproduce.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import reference_stats
from check_reference import pgm, smv

HERE = pathlib.Path(__file__).resolve().parent
COPIED = HERE.parent / "tests" / "golden_data"
INPUTS = "inputs/"


def wanted_inputs(case):
    return [word for word in case["args"] if word.startswith(INPUTS)]


def draw(program, case, folder, work):
    """Run one case in an empty folder; its standard output."""
    words = [str(folder / w) if w.startswith(INPUTS) else w for w in case["args"]]
    # The C program draws with a race for the brightest pixel on several threads (D49).
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([program, *words, "-noprogress"], cwd=work, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"regenerate.py: {case['id']}: status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def frame_facts(full):
    """Sum, maximum and checksum of a whole frame."""
    slow, fast = np.unravel_index(int(full.argmax()), full.shape)
    return {
        "sum": float(full.sum(dtype=np.float64)),
        "max": float(full.max()),
        "nonzero_pixels": int(np.count_nonzero(full)),
        "argmax_slow_fast": [int(slow), int(fast)],
        "sha256_float32_le": hashlib.sha256(full.astype("<f4").tobytes()).hexdigest(),
    }


def collected(case, output, work):
    """The entry of cases.json and the arrays of one run."""
    header, counts = smv(work / "intimage.img")
    values = dict(re.findall(r"(\w+)=([^;\n]*)", header.partition("\f")[0]))
    fast, slow = int(values["SIZE1"]), int(values["SIZE2"])
    full = np.fromfile(work / "floatimage.bin", "<f4").reshape(slow, fast)
    s0, s1, f0, f1 = case.get("crop", (0, slow, 0, fast))
    values.pop("ADC_OFFSET", None)
    entry = {k: case[k] for k in ("id", "group", "args", "verdict", "crop") if k in case}
    entry |= {"fpixels": fast, "spixels": slow, "header_values": values, "stats": reference_stats.parse(output)}
    entry["from_image"] = frame_facts(full)
    if case["verdict"] in ("image_corrected", "corrected_sum"):
        entry["corrected"] = {k: entry["from_image"][k] for k in ("sum", "max")}
    arrays = {name: full[s0:s1, f0:f1] for name in case["arrays"] if name in ("image", "image_corrected")}
    if "intimage" in case["arrays"]:
        arrays["intimage"] = counts.reshape(slow, fast)
        entry["smv_header"] = header.partition("\f")[0] + "\f"
    if "pgm" in case["arrays"]:
        grey, entry["pgm_header"] = pgm(work / "image.pgm")
        arrays["pgm"] = grey.reshape(slow, fast)
    if "noise" in case["arrays"]:
        arrays["noise"] = smv(work / "noiseimage.img")[1].reshape(slow, fast)
    return entry, arrays


def provenance(program, cases, left_out):
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()
    return {
        "program": pathlib.Path(program).name,
        "sha256": hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest(),
        "version": version.splitlines()[0] if version else "does not say",
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "byte_order": sys.byteorder,
        "commands": {case["id"]: case["args"] for case in cases},
        "left_out_for_want_of_inputs": left_out,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--inputs", type=pathlib.Path, default=os.environ.get("NANOBRAG_GOLDEN", COPIED))
    parser.add_argument("--only", default="", help="cases whose id contains this text")
    given = parser.parse_args()
    program, source = str(pathlib.Path(given.program).resolve()), pathlib.Path(given.inputs)
    if (given.folder / "cases.json").exists():
        parser.error(f"{given.folder} holds a golden set already: name a new folder")
    cases = [c for c in json.loads((HERE / "cases.json").read_text()) if given.only in c["id"]]
    left_out = [c["id"] for c in cases if not all((source / name).is_file() for name in wanted_inputs(c))]
    cases = [c for c in cases if c["id"] not in left_out]
    for name in ("images", "inputs"):
        (given.folder / name).mkdir(parents=True, exist_ok=True)
    entries = []
    for case in cases:
        for name in wanted_inputs(case):
            shutil.copyfile(source / name, given.folder / name)
        with tempfile.TemporaryDirectory() as work:
            output = draw(program, case, given.folder.resolve(), work)
            entry, arrays = collected(case, output, pathlib.Path(work))
        np.savez_compressed(given.folder / "images" / f"{case['id']}.npz", **arrays)
        entries.append(json.dumps(entry))
        print(f"{case['id']}: {', '.join(arrays) or 'sums only'}", flush=True)
    (given.folder / "cases.json").write_text("[\n" + ",\n".join(entries) + "\n]\n")
    facts = provenance(program, cases, left_out)
    (given.folder / "provenance.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{len(cases)} cases drawn, {len(left_out)} left out for want of inputs: {' '.join(left_out)}")


if __name__ == "__main__":
    main()
