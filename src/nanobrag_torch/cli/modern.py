"""The files of a run that carry its geometry: miniCBF and NeXus, for any number of panels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nanobrag_torch.errors import InputError, NanobragWarning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nanobrag_torch.config import Config
    from nanobrag_torch.io.files import WholeFiles
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.pipeline.image import Image

MODERN = ("cbf_file", "nexus_file")
"""Configuration fields of these files."""
ONE_PANEL = {
    "float_file": "a float image",
    "int_file": "SMV",
    "pgm_file": "PGM",
    "noise_file": "SMV",
    "cbf_file": "miniCBF",
}
"""Outputs for one flat panel, by configuration field."""
NOISE_SATURATION = 65535
"""Counts are drawn up to here (specs: io_formats 5)."""


def check_panels(config: Config, names: Mapping[str, str], flags: Mapping[str, str]) -> None:
    """Refuse, before anything is computed, files that cannot hold a detector of several panels.

    Raises:
        InputError: naming the flag, and -nexus.
    """
    panels = config.detector.panels
    if panels is None or len(panels) < 2:
        return
    for field, what in ONE_PANEL.items():
        if field in names:
            problem = f"the detector has {len(panels)} panels, and {what} holds one"
            raise InputError(flags[field], problem, "use -nexus, which can describe it, without naming this file")


def warn_of_losses(experiment: Experiment, names: Mapping[str, str]) -> None:
    """Say what the wanted miniCBF and NeXus files leave out, and that NeXus has it.

    SMV files of the C program's own options are written as it writes them, without remark; one of a detector read
    from an experiment list is judged like a miniCBF.
    """
    from nanobrag_torch.io.scene import unsaid_by_any, unsaid_by_flat_headers
    from nanobrag_torch.pipeline.describe import describe

    flat = {"cbf_file"}
    config = experiment.facts["config"]
    if config.detector.panels is not None:
        flat |= {"int_file", "noise_file"}
    wanted = sorted({ONE_PANEL[field] for field in flat & set(names)})
    if not wanted and "nexus_file" not in names:
        return
    scene = describe(experiment)
    if wanted:
        for text in unsaid_by_flat_headers(scene)[1]:
            warnings.warn(
                f"{' and '.join(wanted)} cannot express that {text}; -nexus can", NanobragWarning, stacklevel=2
            )
    for text in unsaid_by_any(scene):
        warnings.warn(f"no format can express that {text}", NanobragWarning, stacklevel=2)


@dataclass(frozen=True)
class Counts:
    """What the files hold: per panel, int32 counts with noise or float32 photons without, and the largest count.

    `masks` are bits of NeXus for pixels that a recording detector does not have, or that are defective.
    """

    panels: tuple[NDArray[Any], ...]
    saturation: int | None
    said: str = ""
    masks: tuple[NDArray[np.int32], ...] | None = None


def counts_of(image: Image, config: Config) -> Counts:
    """The noise image in photons, without offset, if noise is wanted; else the photons themselves.

    The deviates are those of the noise file of the same seed; several panels are drawn one after the other.
    """
    import numpy as np

    values = image.numpy()
    if not config.output.noise:
        return Counts(values, None)
    from nanobrag_torch.legacy_random import Stream
    from nanobrag_torch.physics.noise import noise_image

    generator = image.experiment.facts["generator"].copy()
    stream = Stream.from_seed(config.output.noise_seed or 0)
    roi = image.experiment.sampling.roi
    drawn = [noise_image(panel, generator, stream, adc=0.0, roi=roi) for panel in values]
    photons, overloads = sum(noise.photons for noise in drawn), sum(noise.overloads for noise in drawn)
    said = f"{photons:.0f} photons with noise ({overloads} overloads)"
    return Counts(tuple(noise.counts.astype(np.int32) for noise in drawn), NOISE_SATURATION, said)


def write_modern(
    image: Image,
    config: Config,
    names: Mapping[str, str],
    flags: Mapping[str, str],
    files: WholeFiles,
    say: Callable[[str], None],
    when: datetime | None = None,
    recorded: Counts | None = None,
) -> None:
    """Write the miniCBF and NeXus files among `names`.

    Args:
        image, config: what was rendered, and as what.
        names, flags: files and flags by configuration field.
        files: makes them appear. say: told a line for each.
        when: their time stamp, now by default.
        recorded: the counts of a recording detector instead of those of the classic noise.
    """
    if not set(MODERN) & set(names):
        return
    from nanobrag_torch.io.made import carried
    from nanobrag_torch.pipeline.describe import describe, pixel_masks

    scene, masks = describe(image.experiment), pixel_masks(image.experiment)
    counts = recorded or counts_of(image, config)
    if counts.masks is not None:
        masks = tuple(mask | own for mask, own in zip(masks, counts.masks, strict=True))
    if counts.said:
        say(counts.said)
    if "cbf_file" in names:
        from nanobrag_torch.io.cbf import LARGEST, write_cbf

        say(f"writing {names['cbf_file']} as miniCBF")
        write_cbf(
            names["cbf_file"],
            _whole_counts(counts.panels[0], masks[0]),
            replace(scene, made=carried(_one(config), names["cbf_file"])),
            saturation=counts.saturation or LARGEST,
            when=when,
            opening=files.file,
            field=flags["cbf_file"],
        )
    if "nexus_file" in names:
        from nanobrag_torch.io.nexus import NexusImages, write_nexus

        say(f"writing {names['nexus_file']} as NeXus")
        images = NexusImages([counts.panels], [scene.phi], masks, counts.saturation, when=when)
        scene = replace(scene, made=carried(_one(config), names["nexus_file"]))
        write_nexus(names["nexus_file"], images, scene, opening=files.file, field=flags["nexus_file"])


def _one(config: Config) -> Config:
    """The configuration of one image, also where it is a frame of a series."""
    return replace(config, output=replace(config.output, frames=None))


def _whole_counts(values: NDArray[Any], mask: NDArray[np.int32]) -> NDArray[np.int32]:
    """Rounded counts [slow, fast], marked where the mask has bits."""
    import numpy as np

    from nanobrag_torch.io.cbf import LARGEST, LEFT_OUT, NOT_RENDERED
    from nanobrag_torch.io.scene import GAP

    counts = np.rint(np.nan_to_num(values.astype(np.float64))).clip(0, LARGEST).astype(np.int32)
    counts[mask != 0] = LEFT_OUT
    counts[(mask & GAP) != 0] = NOT_RENDERED
    return counts
