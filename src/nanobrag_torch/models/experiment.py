"""The settled scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nanobrag_torch.models.background import Background
from nanobrag_torch.models.beam import Beam
from nanobrag_torch.models.crystal import Crystal
from nanobrag_torch.models.detector import Detector
from nanobrag_torch.models.path import Path
from nanobrag_torch.models.sampling import Sampling, Scan
from nanobrag_torch.models.summary import rows
from nanobrag_torch.tables import as_html, as_text

if TYPE_CHECKING:
    from nanobrag_torch.view.explore import Explorer


@dataclass(frozen=True)
class Note:
    """Something `settle` chose or noticed that the user should hear of.

    Args:
        stage: where the command line prints it (`clip`, `normal`, `misset`, `cell`, `layers`, `mosaic`,
            `oversample`, `defect`, ...).
        text: one or more lines, without the word WARNING unless the C program prints it.
        warns: whether the library raises it as a warning.
        identifier: clause of specs/deviations.md, or empty.
    """

    stage: str
    text: str
    warns: bool = False
    identifier: str = ""


@dataclass(frozen=True)
class Experiment:
    """Crystal, scan, beam, detector and sampling together, what surrounds them, and which physics they follow.

    Args:
        physics: `nanobragg` (faithful to the C program) or `exact` (specs: deviations, section F).
        notes: what `settle` chose or noticed; takes no part in the computation.
        facts: numbers `settle` met on the way that only the printed report needs.
        background: what scatters beside the crystal.
        path: what absorbs, and which part of the sample the beam lights.
    """

    crystal: Crystal
    scan: Scan
    beam: Beam
    detector: Detector
    sampling: Sampling
    physics: str = "nanobragg"
    notes: tuple[Note, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    background: Background = field(default_factory=Background)
    path: Path = field(default_factory=Path)

    def __str__(self) -> str:
        """The experiment as a table, in the units that people say."""
        return as_text("Experiment", rows(self))

    def _repr_html_(self) -> str:
        return as_html("Experiment", rows(self))

    def explore(self, **options: Any) -> Explorer:
        """Sliders for orientation, distance, wavelength and mosaic spread, with the image following, in a notebook.

        The options are those of `nanobrag_torch.view.explore.explore`: `oversample`, `device`, `dtype`.

        Raises:
            InputError: ipywidgets is not installed (`pip install 'nanobrag_torch[notebook]'`).
        """
        from nanobrag_torch.view.explore import explore

        return explore(self, **options)

    @property
    def steps(self) -> int:
        """Terms per pixel: sources x domains x phi steps x sub-pixels; layers are not counted."""
        return self.beam.sources * self.crystal.mosaic.domains * self.scan.steps * self.sampling.oversample**2

    @property
    def is_simple(self) -> bool:
        """Whether one crystal, whose domains and sources count alike, is all there is: one render of the core."""
        crystal = self.crystal
        several = crystal.others or crystal.blocks is not None or crystal.mosaic.weights is not None
        moves = crystal.diffuse is not None and crystal.shape != "diffuse"
        surrounded = not (self.background.empty and self.path.empty)
        return not (several or moves or surrounded or crystal.colours is not None)

    def replace(self, **changes: Any) -> Experiment:
        """A copy with some components, or fields of components by their names, changed.

        `experiment.replace(misset=m, distance=d)` reaches into the component that has the field; a name that
        none or several of them have raises `TypeError`.
        """
        own = {k: v for k, v in changes.items() if k in self.__dataclass_fields__}
        new = replace(self, **own)
        parts: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            if name not in own:
                parts.setdefault(_component_with(name), {})[name] = value
        return replace(new, **{part: getattr(new, part).replace(**fields) for part, fields in parts.items()})


def _component_with(name: str) -> str:
    from nanobrag_torch.models.detector import Panel

    owners = {
        "crystal": Crystal,
        "scan": Scan,
        "beam": Beam,
        "detector": (Detector, Panel),
        "sampling": Sampling,
        "background": Background,
        "path": Path,
    }
    found = [
        part
        for part, kinds in owners.items()
        if any(name in k.__dataclass_fields__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
    ]
    if len(found) != 1:
        raise TypeError(f"replace(): {name!r} is a field of {' and '.join(found) or 'no component'}")
    return found[0]
