"""Draw the classic golden images anew with the project's own C reference: `python scripts/classic_images.py`.

The four patterns that ports of nanoBragg have always been held to, each with the detector of its classic command line
and a region of 128 x 128 pixels, into tests/golden_data/classic/: `<id>.npz` (`image`, float32 [slow, fast]) and
`provenance.json` (program, checksum of its source, every command, checksum and figures of every image). The fifth, a
frame of six megapixels, needs input of others and stays in the full golden set.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nanobrag_torch.parity.programs import REFERENCE, own_program

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "tests" / "golden_data" / "classic"
CUBE = "-cell 100 100 100 90 90 90 -lambda 6.2 -N 5 -default_F 100 -distance 100"
TILT = "-Xbeam 61.2 -Ybeam 61.2 -detector_rotx 5 -detector_roty 3 -detector_rotz 2 -twotheta 15 -oversample 1"
CLASSIC = {
    "simple_cubic": (f"{CUBE} -detpixels 1024 -pixel 0.1 -nonoise", (448, 448)),
    "simple_cubic_mosaic": (
        f"{CUBE} -detpixels 1000 -pixel 0.1 -mosaic_spread 1.0 -mosaic_domains 10 -nonoise",
        (440, 440),
    ),
    "triclinic_P1": (
        "-misset -89.968546 -31.328953 177.753396 -cell 70 80 90 75 85 95 -default_F 100 -N 5 -lambda 1.0 "
        "-detpixels 512 -nonoise",
        (192, 192),
    ),
    "cubic_tilted_detector": (f"{CUBE} -detsize 102.4 -detpixels 1024 {TILT} -nonoise", (512, 512)),
}
"""The command line of each, and the first slow and fast index of its region."""
EDGE = 128


def main() -> None:
    program = own_program(REFERENCE)
    if program is None:
        raise SystemExit("the C reference is not built: make -C golden_suite_generator")
    TARGET.mkdir(parents=True, exist_ok=True)
    cases = {name: drawn(program.path, name, *CLASSIC[name]) for name in CLASSIC}
    told = {
        "made_by": "scripts/classic_images.py",
        "program": program.version,
        "source_sha256": source(),
        "cases": cases,
    }
    (TARGET / "provenance.json").write_text(json.dumps(told, indent=1) + "\n")


def source() -> str:
    """Checksum of the reference's source, file after file by name."""
    files = sorted((ROOT / "golden_suite_generator" / "src").iterdir())
    return hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()


def drawn(program: Path, name: str, line: str, first: tuple[int, int]) -> dict[str, Any]:
    """Draw one image and say what it is."""
    slow, fast = first
    region = [fast, fast + EDGE - 1, slow, slow + EDGE - 1]
    args = [*shlex.split(line), "-roi", *map(str, region)]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(program), *args, "-nopgm", "-noprogress"], cwd=folder, check=True, capture_output=True,
                       env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
        values = np.fromfile(Path(folder) / "floatimage.bin", np.float32)
    edge = round(len(values) ** 0.5)
    image = np.ascontiguousarray(values.reshape(edge, edge)[slow : slow + EDGE, fast : fast + EDGE])
    np.savez_compressed(TARGET / f"{name}.npz", image=image)
    return {
        "args": args,
        "crop": [slow, slow + EDGE, fast, fast + EDGE],
        "sum": float(image.sum(dtype=np.float64)),
        "max": float(image.max()),
        "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
    }


if __name__ == "__main__":
    main()
