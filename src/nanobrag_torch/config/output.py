"""Outputs, and how a run is carried out, as specified."""

from __future__ import annotations

from dataclasses import dataclass

WITHOUT_EFFECT = (
    "progress",
    "quiet",
    "printout",
    "printout_pixel",
    "threads",
    "memory_MB",
    "traceback",
    "however_long",
)
"""Fields that change no pixel."""


@dataclass(frozen=True)
class OutputConfig:
    """Files to write, scaling, noise, reporting, and where to compute (specs: cli 7, io_formats).

    A file name of `None` means the classic default name; `pgm` and `noise` say whether those files are wanted.
    `frames` is the number of images of a rotation series, which the command line writes; one scene has no use for it.
    `command` holds the words of the command line, for the files that say how they came about.
    """

    float_file: str | None = None
    int_file: str | None = None
    pgm_file: str | None = None
    pgm: bool = True
    noise_file: str | None = None
    noise: bool = True
    png_file: str | None = None
    png_rings: bool = False
    cbf_file: str | None = None
    nexus_file: str | None = None
    frames: int | None = None
    scale: float | None = None
    adc: float | None = None
    pgm_scale: float | None = None
    noise_seed: int | None = None
    printout: bool = False
    printout_pixel: tuple[int, int] | None = None
    progress: bool = True
    quiet: bool = False
    traceback: bool = False
    however_long: bool = False
    physics: str = "nanobragg"
    device: str | None = None
    dtype: str | None = None
    threads: int | None = None
    memory_MB: float | None = None
    tolerance_photons: float = 0.0
    header_file: str | None = None
    experiment_file: str | None = None
    scene_file: str | None = None
    save_scene_file: str | None = None
    command: tuple[str, ...] = ()
