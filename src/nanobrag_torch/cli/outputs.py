"""The files of a run: their names, what goes into them, and their appearing together (specs: io_formats)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

from nanobrag_torch.cli.modern import MODERN, NOISE_SATURATION, check_panels, write_modern
from nanobrag_torch.cli.report import dials_origin, statistics_lines
from nanobrag_torch.errors import InputError
from nanobrag_torch.io.amplitude_files import brings_cell
from nanobrag_torch.io.files import WholeFiles
from nanobrag_torch.io.registry import FileRegistry, refuse_special
from nanobrag_torch.text import format_g as g
from nanobrag_torch.units import degrees_from_radians, mm_from_metres

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nanobrag_torch.cli.modern import Counts
    from nanobrag_torch.config import Config, OutputConfig
    from nanobrag_torch.io.rings import Marks
    from nanobrag_torch.io.smv import SmvHeader
    from nanobrag_torch.models import Experiment
    from nanobrag_torch.pipeline.image import Image, Statistics

Say = Callable[[str], None]

CLASSIC = {
    "float_file": "floatimage.bin",
    "int_file": "intimage.img",
    "pgm_file": "image.pgm",
    "noise_file": "noiseimage.img",
}
"""Default names of the classic outputs by configuration field (specs: cli 7)."""


WRITTEN = (*CLASSIC, *MODERN, "png_file", "save_scene_file")
"""Configuration fields of all files that a run writes, but for the cache of structure factors."""


def output_names(said: OutputConfig) -> dict[str, str]:
    """The files that a run writes, by configuration field, in the order of writing.

    With a miniCBF or NeXus file, or in a series, a classic one is written only if it is named.
    """
    modern = any(getattr(said, field) is not None for field in (*MODERN, "frames"))
    defaults = dict.fromkeys(CLASSIC, "") if modern else CLASSIC
    names = {field: getattr(said, field) or default for field, default in defaults.items()}
    if not said.pgm:
        del names["pgm_file"]
    if not said.noise:
        del names["noise_file"]
    names |= {field: getattr(said, field) or "" for field in WRITTEN if field not in CLASSIC}
    return {field: name for field, name in names.items() if name}


def files_said(config: Config) -> Iterator[tuple[str, str]]:
    """Configuration field and name of every file that was named, read or written; fields of files end in `_file`."""
    parts = (config.crystal, config.beam, config.detector, config.sampling, config.output, config.response)
    for part in parts:
        for field in fields(part):
            name = getattr(part, field.name)
            if field.name.endswith("_file") and isinstance(name, str):
                yield field.name, name


def check_outputs(config: Config, flags: Mapping[str, str], files: FileRegistry | None = None) -> None:
    """Refuse names that could not be written, name two files, or would overwrite an input, before anything is computed.

    Args:
        config: what was said.
        flags: the flag of every configuration field.
        files: files that are in use already.

    Raises:
        InputError: naming the flag.
    """
    files = FileRegistry() if files is None else files
    names = output_names(config.output)
    for field, name in files_said(config):
        if field not in (*WRITTEN, "dump_file"):
            files.reads(name, flags.get(field, field))
    check_panels(config, names, flags)
    _check_rings(config, flags)
    _check_dump(config, flags, files)
    for field, name in names.items():
        files.writes(name, flags[field])


def _check_dump(config: Config, flags: Mapping[str, str], files: FileRegistry) -> None:
    """Note the cache of structure factors, which is read or written; without a cell of its own, that is."""
    from nanobrag_torch.settling.inputs import dump_file  # with NumPy, which help and errors do without

    said = config.crystal
    if not said.use_dump or said.model_file is not None or said.structure_factors is not None:
        return
    if said.hkl_file is not None and brings_cell(said.hkl_file):
        return
    name = dump_file(said)
    if said.hkl_file is None:
        files.reads(name, flags["dump_file"])
        return
    files.keeps(name, flags["dump_file"])
    refuse_special(name, flags["dump_file"])
    files.reads(name, flags["dump_file"])


def _check_rings(config: Config, flags: Mapping[str, str]) -> None:
    """Refuse rings that would not appear."""
    if not config.output.png_rings:
        return
    if config.output.png_file is None:
        raise InputError(flags["png_rings"], "there is no picture to draw in", "give -png FILE too")
    panels = config.detector.panels
    if config.detector.curved or (panels is not None and len(panels) > 1):
        kind = "curved" if config.detector.curved else f"of {len(panels or ())} panels"
        raise InputError(flags["png_rings"], f"the detector is {kind}, rings need one flat panel", "leave it out")


@dataclass(frozen=True)
class Results:
    """What is written: the image rounded to float32 [slow, fast], its statistics, and where they come from.

    Of a detector with several panels, `values` are those of the first. `when` is the time stamp of the files that
    have one; `None` = now.
    """

    image: Image
    config: Config
    values: NDArray[np.float32]
    statistics: Statistics
    when: datetime | None = None

    @staticmethod
    def of(image: Image, config: Config, when: datetime | None = None) -> Results:
        """The results of a rendered image."""
        return Results(image, config, image.numpy()[0], image.statistics(), when)

    @property
    def experiment(self) -> Experiment:
        """What was rendered."""
        return self.image.experiment

    @property
    def adc(self) -> float:
        """Offset of the integer and noise images."""
        from nanobrag_torch.physics.noise import DEFAULT_ADC

        return DEFAULT_ADC if self.config.output.adc is None else self.config.output.adc


def write_outputs(results: Results, flags: Mapping[str, str], say: Say, together: WholeFiles | None = None) -> None:
    """Write every file of the run; all appear together when all are complete, or none does.

    Args:
        results: what to write.
        flags: the flag of every configuration field, for errors.
        say: called with every line of the report.
        together: what makes them appear.

    Raises:
        InputError: a file cannot be written.
    """
    names = output_names(results.config.output)
    with together or WholeFiles() as files:
        if "float_file" in names:
            _write_float(results, names["float_file"], flags["float_file"], files, say)
        for line in statistics_lines(results.statistics):
            say(line)
        if "int_file" in names:
            _write_integer(results, names["int_file"], flags["int_file"], files, say)
        if "pgm_file" in names:
            _write_grey(results, names["pgm_file"], flags["pgm_file"], files, say)
        recorded = _recorded(results, names, say)
        if "noise_file" in names:
            _write_noise(results, names["noise_file"], flags["noise_file"], files, say, recorded)
        write_modern(results.image, results.config, names, flags, files, say, results.when, recorded)
        if "png_file" in names:
            from nanobrag_torch.io.png import write_png

            say(f"writing {names['png_file']} as PNG")
            picture, marks = _picture(results), _marks(results)
            write_png(names["png_file"], picture, marks, opening=files.file, field=flags["png_file"])
        if "save_scene_file" in names and results.config.output.frames is None:
            from nanobrag_torch.io.scene_file import write_scene

            name = names["save_scene_file"]
            say(f"writing {name} as a scene")
            write_scene(name, results.config, opening=files.file, field=flags["save_scene_file"])


def _marks(results: Results) -> Marks | None:
    """Rings and beam for the picture, if they were asked for."""
    if not results.config.output.png_rings:
        return None
    from nanobrag_torch.io.rings import marks
    from nanobrag_torch.pipeline.describe import describe

    return marks(describe(results.experiment))


def _picture(results: Results) -> NDArray[np.floating]:
    """The image [slow, fast]; of several panels, how they look from the sample."""
    if len(results.experiment.detector.panels) == 1:
        return results.values
    from nanobrag_torch.io.flat_view import flat_view
    from nanobrag_torch.pipeline.describe import describe

    return flat_view(describe(results.experiment), results.image.numpy())


def _write_float(results: Results, name: str, flag: str, files: WholeFiles, say: Say) -> None:
    from nanobrag_torch.io.raw import write_float_image

    say(f"writing {name} as {results.values.size} 4-byte floats")
    write_float_image(name, results.values, opening=files.file, field=flag)


def _write_integer(results: Results, name: str, flag: str, files: WholeFiles, say: Say) -> None:
    from nanobrag_torch.io.smv import write_smv
    from nanobrag_torch.physics.noise import integer_image, integer_scale

    scale = integer_scale(results.config.output.scale, results.statistics.max_I)
    say(f"intfile_scale = {g(scale)}")
    counts = integer_image(results.values, scale, adc=results.adc, roi=results.experiment.sampling.roi)
    say(f"writing {name} as 2-byte integers")
    write_smv(name, counts, header(results), opening=files.file, field=flag)


def _write_grey(results: Results, name: str, flag: str, files: WholeFiles, say: Say) -> None:
    from nanobrag_torch.io.pgm import write_pgm
    from nanobrag_torch.physics.noise import grey_image, grey_scale, integer_scale

    integer = integer_scale(results.config.output.scale, results.statistics.max_I)
    scale = grey_scale(results.config.output.pgm_scale, results.statistics.rmsd, integer)
    say(f"pgm_scale = {g(scale)}")
    grey = grey_image(results.values, scale, roi=results.experiment.sampling.roi)
    say(f"writing {name} as 1-byte integers")
    write_pgm(name, grey, scale, opening=files.file, field=flag)


def _recorded(results: Results, names: Mapping[str, str], say: Say) -> Counts | None:
    """The counts of the specified detector, where there is one and a file holds them."""
    from nanobrag_torch.cli.modern import MODERN, Counts
    from nanobrag_torch.detector.of_scene import is_specified

    if not is_specified(results.config.response) or not {"noise_file", *MODERN} & set(names):
        return None
    from nanobrag_torch.detector.of_scene import nexus_mask, record_image

    panels = record_image(results.image, results.config)
    largest = panels[0].largest
    overloads = sum(panel.overloads for panel in panels)
    say(f"{sum(int(p.counts[p.mask == 0].sum()) for p in panels)} counts recorded ({overloads} overloads)")
    return Counts(tuple(p.counts for p in panels), largest, masks=tuple(nexus_mask(p.mask) for p in panels))


def _write_noise(results: Results, name: str, flag: str, files: WholeFiles, say: Say, recorded: Counts | None) -> None:
    from nanobrag_torch.io.smv import write_smv

    if recorded is not None:
        say(f"writing {name} as 2-byte integers")
        counts = recorded.panels[0].clip(0, NOISE_SATURATION).astype("uint16")
        write_smv(name, counts, header(results), opening=files.file, field=flag)
        return
    from nanobrag_torch.legacy_random import Stream
    from nanobrag_torch.physics.noise import noise_image

    generator = results.experiment.facts["generator"].copy()
    stream = Stream.from_seed(results.config.output.noise_seed or 0)
    noise = noise_image(results.values, generator, stream, adc=results.adc, roi=results.experiment.sampling.roi)
    say(f"{noise.photons:.0f} photons on noise image ({noise.overloads} overloads)")
    say(f"writing {name} as 2-byte integers")
    write_smv(name, noise.counts, header(results), opening=files.file, field=flag)


def header(results: Results) -> SmvHeader:
    """The SMV header of a run (specs: io_formats 3)."""
    from nanobrag_torch.io.smv import SmvHeader
    from nanobrag_torch.pipeline.render import panel_frame_of

    experiment = results.experiment
    panel, scan, facts = experiment.detector.panels[0], experiment.scan, experiment.facts
    frame = panel_frame_of(panel, experiment.beam.direction, experiment.physics == "exact")
    pixel, length_s = float(panel.pixel_size), float(panel.lengths[1])
    f_b, s_b = (float(x) for x in frame.beam_centre)
    f_c, s_c = (float(x) for x in frame.near_point)
    return SmvHeader(
        pixels_f=panel.pixels_f,
        pixels_s=panel.pixels_s,
        pixel_size=mm_from_metres(pixel),
        distance=mm_from_metres(float(frame.distance)),
        wavelength=float(experiment.beam.wavelength),
        beam_centre=_mm(facts["Xbeam"], facts["Ybeam"]),
        adxv_centre=_mm(f_b, length_s - s_b),
        mosflm_centre=_mm(s_b - pixel / 2.0, f_b - pixel / 2.0),
        denzo_beam=_mm(s_b, f_b),
        dials_origin=dials_origin([float(x) for x in frame.origin]),
        xds_origin_pixels=(f_c / pixel + 0.5, s_c / pixel + 0.5),
        close_distance=mm_from_metres(float(frame.close_distance)),
        phi=degrees_from_radians(float(scan.start)),
        osc_range=degrees_from_radians(float(scan.range)),
        twotheta=degrees_from_radians(float(panel.twotheta)),
        adc=results.adc,
    )


def _mm(x: float, y: float) -> tuple[float, float]:
    return mm_from_metres(x), mm_from_metres(y)
