"""What a refinement of an experiment list gives: numbers, tables, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nanobrag_torch.io.expt_models import ImagesModel, Measured
from nanobrag_torch.io.expt_write import write_expt_list
from nanobrag_torch.io.files import Opening, WholeFiles
from nanobrag_torch.io.refl import write_refl
from nanobrag_torch.io.reflection_table import ReflectionTable, joined
from nanobrag_torch.refine.asked import Job
from nanobrag_torch.refine.curves import lines_of
from nanobrag_torch.refine.gather import Gathered
from nanobrag_torch.refine.measures import Explained, Spots, Summary
from nanobrag_torch.refine.outcome import Refined
from nanobrag_torch.refine.written import json_of, label_of, mtz_of, numbers_of, refined_reflections

OUTPUTS = ("refined.expt", "refined.refl", "refined.json", "report.html")
Strange = tuple[int, tuple[int, ...], float, float]


@dataclass(frozen=True, eq=False)
class Result:
    """What came of it.

    Args:
        job: what was asked.
        refined: values, uncertainties and residuals of all shots.
        measured: the refined experiments, one of each shot.
        gathered: what was refined against, shot by shot; their `place` is that in the list that was read.
        pixels: the pixels of each shot under the refined model.
        spots: the spots of each shot.
        summaries: per shot agreement `before`, `after`, and `left_out` for images that were not refined against.
        unique: [U, 3] refined reflections.
        source: cell and space group of the amplitudes' file.
        strange: experiment, indices, photons seen and expected of spots that were left out because the start does not
            explain them at all.
    """

    job: Job
    refined: Refined
    measured: tuple[Measured, ...]
    gathered: tuple[Gathered, ...]
    pixels: tuple[Explained, ...]
    spots: tuple[Spots, ...]
    summaries: tuple[dict[str, Summary | None], ...]
    unique: np.ndarray[Any, np.dtype[np.int32]]
    source: tuple[tuple[float, ...], str]
    strange: tuple[Strange, ...] = ()

    @property
    def sigma_factor(self) -> float:
        """What standard deviations are multiplied by where pixels scatter more than they should."""
        return float(max(self.refined.chi_square, 1.0) ** 0.5)

    def table(self) -> str:
        """The refined numbers of the first shots, and the profiles, as lines of text."""
        lines = []
        for place, estimate in enumerate(self.refined.shots[:3]):
            if len(self.refined.shots) > 1:
                lines.append(f"experiment {place}")
            for n in numbers_of(estimate, self.sigma_factor):
                near = f"at its {n['at_bound']}" if n["at_bound"] else f"+- {n['sigma']:<9.2g}"
                lines.append(f"  {label_of(n):<20} {n['value']:>12.6g} {near:<12} {n['unit']}".rstrip())
        return "\n".join(lines + lines_of(self.refined.profiles, self.sigma_factor))

    def _located(self) -> list[Measured]:
        """The refined experiments with images that are found from any folder."""
        folder = Path(self.job.expt).resolve().parent
        return [replace(one, images=_absolute(one.images, folder)) for one in self.measured]

    def reflections(self) -> ReflectionTable:
        """The reflections of all shots."""
        identifiers = {number: one.identifier for number, one in enumerate(self.measured)}
        tables = [
            refined_reflections(*one, number)
            for number, one in enumerate(zip(self.gathered, self.spots, self.measured, strict=True))
        ]
        return replace(joined([replace(t, identifiers={}) for t in tables]), identifiers=identifiers)

    def amplitude_rows(self) -> list[dict[str, Any]]:
        """Refined amplitudes: index, value, sigma, value of the start."""
        if self.refined.amplitudes is None or self.refined.amplitude_sigma is None:
            return []
        table = self.gathered[0].shot.experiment.crystal.structure_factors
        begun = table.nearest(*(torch.from_numpy(x.astype(np.int64)) for x in self.unique.T)).numpy()
        return [
            {"index": [int(x) for x in hkl], "F": float(f0 * f), "sigma": float(f0 * s), "start": float(f0)}
            for hkl, f0, f, s in zip(
                self.unique, begun, self.refined.amplitudes.tolist(), self.refined.amplitude_sigma.tolist(), strict=True
            )
        ]

    def write(self, folder: str | Path, said: Mapping[str, Any] | None = None) -> list[Path]:
        """Write everything into a folder, all of it or nothing; the names of the files.

        Raises:
            InputError: a file cannot be written.
        """
        from nanobrag_torch.refine.report import page_of

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        rows = self.amplitude_rows()
        written = [place / name for name in OUTPUTS]
        with WholeFiles() as files:
            opening: Opening = files.file
            write_expt_list(written[0], self._located(), opening=opening, field="-o")
            write_refl(written[1], self.reflections(), opening=opening, field="-o")
            content = json_of(self.refined, self.measured, self.summaries, said or {}, rows)
            with files.file(written[2], "-o") as handle:
                handle.write(content)
            with files.file(written[3], "-o") as handle:
                handle.write(page_of(self, said or {}).encode())
            if rows:
                written.append(place / "amplitudes.mtz")
                values, sigmas = (np.array([row[key] for row in rows]) for key in ("F", "sigma"))
                with files.file(written[-1], "-o") as handle:
                    handle.write(mtz_of(self.unique, values, sigmas, *self.source))
        return written


def _absolute(images: ImagesModel | None, folder: Path) -> ImagesModel | None:
    """Names of images from the root, where they lie beside the list."""
    if images is None:
        return None
    raw = dict(images.raw)
    if isinstance(raw.get("template"), str):
        raw["template"] = str(folder / raw["template"])
    if isinstance(raw.get("images"), list):
        raw["images"] = [str(folder / name) for name in raw["images"]]
    return replace(images, names=tuple(str(folder / name) for name in images.names), raw=raw)
