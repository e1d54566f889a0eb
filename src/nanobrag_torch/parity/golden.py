"""The golden set: cases with their reference arrays, and one run of this program on a case.

A folder holds `cases.json` (a list, one entry per case), `images/<id>.npz` and `inputs/`. The fields `args`, `verdict`,
`stats`, `header_values`, `fpixels`, `spixels` and `crop` of an entry are used.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import ParityError
from nanobrag_torch.parity.agreement import DOUBLE, DOUBLE_TOPHAT, Bounds

Arrays = dict[str, NDArray[Any]]
INPUTS = "inputs/"


@dataclass(frozen=True)
class Case:
    """A command line and what it should give.

    `verdict` is `image`, `image_corrected`, `corrected_sum` or `none`; `facts` is the entry of `cases.json`.
    """

    id: str
    folder: Path
    args: tuple[str, ...]
    verdict: str
    facts: dict[str, Any]

    def arrays(self) -> Arrays:
        """Every stored array, by name."""
        with np.load(self.folder / "images" / f"{self.id}.npz") as stored:
            return {name: stored[name] for name in stored.files}

    def expected(self) -> NDArray[np.float32]:
        """The float image [slow, fast] to reproduce: the crop where the case has one."""
        return self.arrays()[self.verdict]

    def command(self) -> list[str]:
        """The command line, its input files with their whole paths."""
        return [str(self.folder / word) if word.startswith(INPUTS) else word for word in self.args]

    def crop(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a full frame that is stored."""
        s0, s1, f0, f1 = self.facts.get("crop", (0, image.shape[0], 0, image.shape[1]))
        return image[s0:s1, f0:f1]

    @property
    def bounds(self) -> Bounds:
        """The double-precision bounds for the shape of this case."""
        return DOUBLE_TOPHAT if self.facts["stats"].get("shape") == "tophat-spot" else DOUBLE


def load_cases(folder: str | os.PathLike[str]) -> list[Case]:
    """The cases of a folder, in its order.

    Raises:
        ParityError: the folder has no readable `cases.json`.
    """
    path = Path(folder) / "cases.json"
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ParityError(f"{path}: no list of golden cases ({error})") from error
    return [Case(e["id"], Path(folder), tuple(e["args"]), e["verdict"], e) for e in entries]


@dataclass(frozen=True)
class Run:
    """What one run of the command line gave: exit status, both streams, and the folder with its files."""

    status: int
    output: str
    errors: str
    folder: Path
    shape: tuple[int, int]

    def image(self) -> NDArray[np.float32]:
        """The float image, full frame [slow, fast]."""
        return np.fromfile(self.folder / "float.bin", np.float32).reshape(self.shape)

    def header(self, name: str = "int.img") -> str:
        """The SMV header of an image, up to its form feed."""
        return (self.folder / name).read_bytes()[:1024].partition(b"\f")[0].decode("ascii") + "\f"

    def counts(self, name: str = "int.img") -> NDArray[np.uint16]:
        """The 16-bit pixels of an SMV image [slow, fast]."""
        pixels = self.shape[0] * self.shape[1]
        return np.frombuffer((self.folder / name).read_bytes()[-2 * pixels :], np.uint16).reshape(self.shape)

    def grey(self) -> tuple[str, NDArray[np.uint8]]:
        """Header and pixels of the PGM file."""
        content = (self.folder / "grey.pgm").read_bytes()
        pixels = self.shape[0] * self.shape[1]
        return content[:-pixels].decode("ascii"), np.frombuffer(content[-pixels:], np.uint8).reshape(self.shape)


def run_case(case: Case, folder: Path, dtype: str = "float64", *extra: str) -> Run:
    """Render a case in an existing empty folder: float, integer and grey image, noise only if the case wants it.

    The command line's own entry point is called, with the folder as the working directory.
    """
    from nanobrag_torch.cli.main import main

    files = ["-floatfile", "float.bin", "-intfile", "int.img", "-pgmfile", "grey.pgm", "-noprogress"]
    words = [*case.command(), *files, "-dtype", dtype, *extra]
    if "-nonoise" not in case.args:
        words += ["-noisefile", "noise.img"]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), contextlib.chdir(folder):
        status = main(words)
    shape = (case.facts["spixels"], case.facts["fpixels"])
    return Run(status, output.getvalue(), errors.getvalue(), folder, shape)


def header_lines(header: str) -> list[str]:
    """The lines of an SMV header that have to equal the C program's (specs: io_formats 3)."""
    ours = ("ADC_OFFSET", "HEADER_BYTES")
    return [line for line in header.splitlines() if "=" in line and not line.startswith(ours)]


def expected_header(case: Case) -> list[str]:
    """The lines of a case's SMV header, from its values."""
    values = cast(dict[str, str], case.facts["header_values"])
    return [
        f"{key}={value}" + ("" if key == "DIALS_ORIGIN" else ";")
        for key, value in values.items()
        if key != "HEADER_BYTES"
    ]


def expected_stats(case: Case) -> dict[str, Any]:
    """What a run of the case prints, without what only the reference's own analysis knows."""
    from nanobrag_torch.parity.printed import IMAGE_STATISTICS

    own = {"requested_cell", "cell_angle_deviation_deg", "close_distance", "noise_photons", "noise_overloads"}
    skipped = own if case.verdict == "image" else own | set(IMAGE_STATISTICS)
    return {name: value for name, value in case.facts["stats"].items() if name not in skipped}


def iterate(folder: str | os.PathLike[str], verdicts: tuple[str, ...]) -> Iterator[Case]:
    """The cases of a folder whose verdict is one of `verdicts`."""
    return (case for case in load_cases(folder) if case.verdict in verdicts)
