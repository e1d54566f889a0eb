"""One render, both programs: every image that these tests look at was compared with the C reference first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanobrag_torch.cli.outputs import output_names
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.io.smv import read_smv
from nanobrag_torch.parity.agreement import image_agreement
from nanobrag_torch.parity.case import Line, try_line
from nanobrag_torch.parity.golden import Case
from nanobrag_torch.parity.printed import printed_numbers
from nanobrag_torch.parity.programs import CProgram


@dataclass(frozen=True)
class Drawn:
    """What both programs drew: our float image [slow, fast], the C program's, and what ours printed.

    `explained` holds the deviations by which an original nanoBragg differs; empty with the project's own reference.
    """

    image: np.ndarray
    c_image: np.ndarray
    printed: dict[str, Any]
    folder: Path
    names: dict[str, str]
    explained: tuple[str, ...] = ()

    def counts(self, kind: str) -> np.ndarray:
        """Pixels of the integer (`int_file`) or noise image (`noise_file`)."""
        return read_smv(self.folder / "py" / self.names[kind])[0]

    def beam_spot(self) -> tuple[float, float]:
        """Centre of mass (fast, slow) of the image in mm from the corner of the first pixel."""
        values = self.image.astype(float)
        slow, fast = np.indices(values.shape) + 0.5
        pixel = self.printed["pixel"] * 1000.0
        return (
            pixel * float((fast * values).sum() / values.sum()),
            pixel * float((slow * values).sum() / values.sum()),
        )


Draw = Callable[..., Drawn]


@pytest.fixture
def draw(c_program: CProgram, tmp_path: Path) -> Draw:
    """`draw("-cell ...", {"t.hkl": "..."})`: the line through both programs, which have to agree in everything.

    Files are named `../inputs/NAME` on the line.
    """
    count = 0

    def drawn(line: str, files: Mapping[str, str | bytes] | None = None) -> Drawn:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        folder.mkdir()
        words = tuple(shlex.split(line))
        content = {n: c.encode() if isinstance(c, str) else c for n, c in (files or {}).items()}
        result = try_line(Line("acceptance", words, content), c_program, folder)
        assert not result.failed, "\n".join([line, *result.problems])
        if result.status == (9, 0) and result.explained:
            pytest.skip(f"nothing to compare with: {result.explained[0]}")
        assert result.status == (0, 0), (folder / "py.stderr").read_text()
        return replace(_drawn(folder, words), explained=tuple(result.explained))

    return drawn


def _drawn(folder: Path, words: tuple[str, ...]) -> Drawn:
    from contextlib import chdir

    with chdir(folder / "py"):
        names = output_names(parse(words).output)
    printed = printed_numbers((folder / "py.stdout").read_text())
    shape = (printed["spixels"], printed["fpixels"])
    images = [np.fromfile(folder / side / names["float_file"], np.float32).reshape(shape) for side in ("py", "c")]
    return Drawn(images[0], images[1], printed, folder, names)


@pytest.fixture
def three_ways(draw: Draw, golden_folder: Path) -> Callable[[str], None]:
    """Check a golden case three ways: C live against the stored image, ours against it, ours against C live."""
    from nanobrag_torch.parity.golden import load_cases

    cases = {case.id: case for case in load_cases(golden_folder)}

    def check(name: str) -> None:
        case: Case = cases[name]
        drawn = draw(shlex.join(case.command()))
        expected = case.expected()
        sides = {"ours": drawn.image} if drawn.explained else {"C side": drawn.c_image, "ours": drawn.image}
        for who, image in sides.items():
            problems = image_agreement(case.crop(image), expected, case.bounds).problems()
            assert not problems, f"{who} against the stored image of {name}: {problems}"

    return check
