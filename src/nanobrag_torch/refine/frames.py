"""Measured frames with the experiments they belong to: pixel values, what they count, and which can be believed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.io.expt_list import read_expt_list
from nanobrag_torch.io.expt_models import DetectorModel, Measured, PanelModel
from nanobrag_torch.io.files import PathLike
from nanobrag_torch.io.frame_files import FrameFile, open_frames

Pixels = NDArray[Any]
Bits = NDArray[np.bool_]
Floats = NDArray[np.float64]
_KEPT = 8
"""Images that are kept in memory, so that reading panel by panel does not unpack each again."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: where it lies and what was measured on it.

    Args:
        file: the file that holds it.
        index: which of its images, from 0.
        experiment: number of its experiment.
        number: number of the image in the scan: it covers `number - 1` to `number`; 0 for a still.
    """

    file: FrameFile
    index: int
    experiment: int
    number: int


@dataclass(frozen=True, eq=False)
class Counts:
    """The values of one panel over all frames, [F, slow, fast], read when they are asked for."""

    frames: Frames
    panel: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, slow, fast."""
        return len(self.frames), *self.frames.experiments[0].detector.panels[self.panel].shape

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, which: int | slice | Sequence[int]) -> Pixels:
        """One frame [slow, fast], or several [n, slow, fast]."""
        if isinstance(which, int | np.integer):
            return self.frames.values(int(which))[self.panel]
        numbers = range(len(self))[which] if isinstance(which, slice) else which
        return np.array([self.frames.values(int(n))[self.panel] for n in numbers])


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one detector: one sweep or several, or stills.

    Args:
        frames: the images, in order.
        experiments: what they were measured with, by `Frame.experiment`.
        mask: per panel the pixels [slow, fast] that have a meaning; a single frame's own bad pixels are in `good`.
        gain: per panel, values per photon, a number or [slow, fast].
        pedestal: per panel, the value without a photon, a number or [slow, fast].
    """

    frames: tuple[Frame, ...]
    experiments: tuple[Measured, ...]
    mask: tuple[Bits, ...]
    gain: tuple[float | Floats, ...]
    pedestal: tuple[float | Floats, ...]
    _cache: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self._cache is None:
            object.__setattr__(self, "_cache", lru_cache(maxsize=_KEPT)(self._read))

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the images in memory, for other processes."""
        return Frames, (self.frames, self.experiments, self.mask, self.gain, self.pedestal)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def panels(self) -> tuple[PanelModel, ...]:
        """The panels of the detector."""
        return self.experiments[self.frames[0].experiment].detector.panels

    @property
    def counts(self) -> tuple[Counts, ...]:
        """Per panel the values [F, slow, fast] of the files, read lazily."""
        return tuple(Counts(self, i) for i in range(len(self.panels)))

    def experiment(self, frame: int) -> Measured:
        """The experiment of a frame."""
        return self.experiments[self.frames[frame].experiment]

    def of_experiment(self, experiment: int) -> list[int]:
        """Frames of an experiment, in order."""
        return [i for i, frame in enumerate(self.frames) if frame.experiment == experiment]

    def values(self, frame: int) -> tuple[Pixels, ...]:
        """Values of a frame as its file has them, [slow, fast] per panel; not to be written to.

        Raises:
            FileFormatError: the file is damaged, or of another size than its detector.
        """
        found: tuple[Pixels, ...] = self._cache(frame)
        return found

    def _read(self, number: int) -> tuple[Pixels, ...]:
        frame = self.frames[number]
        image = frame.file.read(frame.index)
        image.flags.writeable = False
        return split(frame.file.path, image, self.experiments[frame.experiment].detector)

    def photons(self, frame: int) -> tuple[Floats, ...]:
        """(value - pedestal) / gain, [slow, fast] per panel, of every pixel, also those that `good` leaves out."""
        return tuple(
            (values.astype(np.float64) - pedestal) / gain
            for values, gain, pedestal in zip(self.values(frame), self.gain, self.pedestal, strict=True)
        )

    def good(self, frame: int) -> tuple[Bits, ...]:
        """Pixels [slow, fast] per panel that can be believed: in `mask`, and with a value in the trusted range.

        A value below the range is a gap or a dead pixel, one at its end or above is saturated.
        """
        return tuple(
            mask & _trusted(values, self._range(frame, panel))
            for mask, values, panel in zip(self.mask, self.values(frame), self.panels, strict=True)
        )

    def saturated(self, frame: int) -> tuple[Bits, ...]:
        """Pixels [slow, fast] per panel that have a meaning and reach the end of the trusted range."""
        return tuple(
            mask & (values >= self._range(frame, panel)[1]) & ~_sentinel(values)
            for mask, values, panel in zip(self.mask, self.values(frame), self.panels, strict=True)
        )

    def _range(self, frame: int, panel: PanelModel) -> tuple[float, float]:
        """Least and largest value of a panel, the narrower of what the experiment and the file say."""
        low, high = self.frames[frame].file.trusted
        return (
            panel.trusted[0] if low is None else max(low, panel.trusted[0]),
            panel.trusted[1] if high is None else min(high, panel.trusted[1]),
        )

    def some(self, frames: Sequence[int]) -> Frames:
        """Some of the frames, by their numbers."""
        return replace(self, frames=tuple(self.frames[i] for i in frames), _cache=None)

    def masked(self, bad: Sequence[Bits]) -> Frames:
        """Without further pixels, [slow, fast] per panel."""
        return replace(self, mask=tuple(m & ~b for m, b in zip(self.mask, bad, strict=True)), _cache=None)

    def hot(self, *, sigmas: float = 8.0, frames: Sequence[int] | None = None) -> tuple[Bits, ...]:
        """Pixels [slow, fast] per panel that count too much in every frame.

        The least value over the frames is compared with its median in a window of 5 x 5: what a spot leaves behind
        is gone by the next frames, what a hot pixel counts is not.

        Args:
            sigmas: how far above its neighbours, in standard deviations of Poisson counts (of one photon at least).
            frames: which frames to look at, three or more; up to 20 spread over all of them by default.

        Raises:
            InputError: fewer than three frames, of which no hot pixel can be told from a spot.
        """
        chosen = list(frames) if frames is not None else _spread(len(self), 20)
        if len(chosen) < 3:
            raise InputError("frames", f"{len(chosen)} frames cannot tell hot pixels from spots", "give three or more")
        least: list[Floats] = []
        for number in chosen:
            for panel, photons in enumerate(self.photons(number)):
                if len(least) <= panel:
                    least.append(photons)
                else:
                    np.minimum(least[panel], photons, out=least[panel])
        found = []
        for values, mask in zip(least, self.mask, strict=True):
            median = _median(np.where(mask, values, np.nan))
            found.append(mask & (values - median > sigmas * np.sqrt(np.maximum(median, 1.0))))
        return tuple(found)


def _spread(count: int, most: int) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most))})


def _median(values: Floats) -> Floats:
    """Median [slow, fast] of windows of 5 x 5 without NaN; 0 where there is nothing."""
    wide = np.pad(values, 2, constant_values=np.nan)
    result = np.zeros(values.shape)
    rows = max(1, 2_000_000 // (25 * values.shape[1]))
    for start in range(0, values.shape[0], rows):
        block = np.lib.stride_tricks.sliding_window_view(wide[start : start + rows + 4], (5, 5))
        flat = np.sort(block.reshape(*block.shape[:2], 25), axis=2)
        known = np.isfinite(flat).sum(axis=2)
        middle = np.maximum(known - 1, 0)[..., None] // 2
        picked = np.take_along_axis(flat, middle, axis=2)[..., 0]
        result[start : start + len(picked)] = np.where(known > 0, picked, 0.0)
    return result


def _sentinel(values: Pixels) -> Bits:
    """Pixels with the largest value of their unsigned type, by which Eiger detectors say that there is none."""
    if values.dtype.kind != "u":
        return np.zeros(values.shape, dtype=np.bool_)
    return np.asarray(values == np.iinfo(values.dtype).max)


def _trusted(values: Pixels, trusted: tuple[float, float]) -> Bits:
    """Which values can be believed; in whole numbers a negative least value is itself a mark of a bad pixel."""
    low, high = trusted
    above = values > low if low < 0 and values.dtype.kind in "iu" else values >= low
    return np.asarray(above & (values < high) & ~_sentinel(values) & np.isfinite(values))


def split(
    path: PathLike,
    image: Pixels,
    detector: DetectorModel,
    words: tuple[str, str] = ("images", "give the frames that belong to the experiment"),
) -> tuple[Pixels, ...]:
    """The panels of an image: the whole of it, slices of a stack, pieces at their offsets, or one below the other.

    Args:
        path: where the image comes from.
        image: [slow, fast] or [panels, slow, fast].
        detector: whose panels they are.
        words: what it is that does not fit, and what to do then.

    Raises:
        InputError: an image of another size.
    """
    shapes = [panel.shape for panel in detector.panels]
    if image.ndim == 3 and image.shape[0] == len(shapes) and all(image.shape[1:] == shape for shape in shapes):
        return tuple(image)
    if image.ndim == 2:
        offsets = [tuple(int(x) for x in p.raw.get("raw_image_offset") or (0, 0)) for p in detector.panels]
        if len(set(offsets)) < len(offsets):
            tops = np.cumsum([0, *(slow for slow, _ in shapes)])
            offsets = [(0, int(top)) for top in tops[: len(shapes)]]
        slow = max(s + shape[0] for (_, s), shape in zip(offsets, shapes, strict=True))
        fast = max(f + shape[1] for (f, _), shape in zip(offsets, shapes, strict=True))
        if image.shape == (slow, fast):
            return tuple(
                image[s : s + shape[0], f : f + shape[1]] for (f, s), shape in zip(offsets, shapes, strict=True)
            )
    sizes = ", ".join(f"{fast} x {slow}" for slow, fast in sorted(set(shapes)))
    found = " x ".join(str(n) for n in reversed(image.shape))
    count = "one panel" if len(shapes) == 1 else f"{len(shapes)} panels"
    raise InputError(
        str(path), f"{words[0]} of {found} pixels, but the detector of the experiment has {count} of {sizes}", words[1]
    )


def read_frames(
    expt: PathLike | Sequence[Measured],
    *,
    folder: PathLike | None = None,
    images: Sequence[PathLike] | None = None,
    mask: Sequence[Bits] | None = None,
) -> Frames:
    """The frames of experiments, from the files that they name.

    Args:
        expt: an experiment list, or experiments that were read from one.
        folder: where the images are; the folder of the list by default. A name is also looked for without its path.
        images: files to take instead, in the order of the frames.
        mask: per panel the pixels [slow, fast] to use besides what files say.

    Raises:
        FileFormatError: a file that is missing or not an image.
        InputError: no images are named, or they do not belong to the experiments: another number or another size.
    """
    if isinstance(expt, str | os.PathLike):
        name, experiments = str(expt), read_expt_list(expt)
        folder = Path(expt).parent if folder is None else folder
    else:
        name, experiments = "experiments", tuple(expt)
    opened: dict[str, FrameFile] = {}
    frames: list[Frame] = []
    for place, experiment in enumerate(experiments):
        files = _files(name, place, experiment, folder, images)
        if mask is None and experiment.images is not None and experiment.images.raw.get("mask"):
            text = f"{name}: experiment {place} names a mask of DIALS, a pickle that is not opened"
            warnings.warn(NanobragWarning(f"{text}; give it as an array (nb-refine: --mask)"), stacklevel=2)
        frames += _frames_of(name, place, experiment, [opened.setdefault(f, open_frames(f)) for f in files])
    if not frames:
        raise InputError(name, "it holds no experiment", "give one with frames")
    first = experiments[0].detector
    for experiment in experiments[1:]:
        if [p.shape for p in experiment.detector.panels] != [p.shape for p in first.panels]:
            raise InputError(name, "its experiments have detectors of different sizes", "give those of one detector")
    masks = _masks(frames[0].file, first)
    if mask is not None:
        if [m.shape for m in mask] != [m.shape for m in masks]:
            raise InputError("mask", "it has other panels than the detector", "give one array [slow, fast] per panel")
        masks = tuple(own & np.asarray(given, dtype=np.bool_) for own, given in zip(masks, mask, strict=True))
    made = Frames(
        tuple(frames), experiments, masks, tuple(p.gain for p in first.panels), tuple(p.pedestal for p in first.panels)
    )
    for file in opened.values():
        split(file.path, np.broadcast_to(np.int8(0), file.shape), first)
    if not any(m.any() for m in masks):
        raise InputError(name, "every pixel is masked", "give another mask")
    return made


def _files(
    name: str, place: int, experiment: Measured, folder: PathLike | None, images: Sequence[PathLike] | None
) -> list[str]:
    """Names of the files of an experiment, found on this machine."""
    if images is not None:
        count = 1 if experiment.scan is None else experiment.scan.images
        share = images if len(images) == 1 else images[place * count : (place + 1) * count]
        return [os.fspath(image) for image in share]
    if experiment.images is None:
        raise InputError(name, f"experiment {place} names no images", "give them")
    found = []
    for wanted in experiment.images.names:
        base = Path() if folder is None else Path(folder)
        candidates = (base / wanted, base / Path(wanted).name)
        found.append(os.fspath(next((c for c in candidates if c.exists()), candidates[0])))
    return found


def _frames_of(name: str, place: int, experiment: Measured, files: Sequence[FrameFile]) -> list[Frame]:
    """The frames of an experiment: one for every image of its scan, or one of a still."""
    scan = experiment.scan
    count, first = (1, 0) if scan is None else (scan.images, scan.first)
    if not files:
        raise InputError(name, f"experiment {place} has no images left", "give as many files as there are frames")
    chosen = experiment.images.indices if experiment.images is not None else None
    if chosen and len(chosen) == len(files):
        all_images = list(zip(files, chosen, strict=True))
    else:
        single = len(files) == 1
        all_images = [
            (file, i) for file in files for i in (chosen or range(file.count) if single else range(file.count))
        ]
        # A file with the whole scan, of which this experiment is a part that begins at its first image.
        if single and not chosen and len(all_images) > count and first >= 1:
            all_images = all_images[first - 1 : first - 1 + count]
    if len(all_images) < count:
        raise InputError(
            name, f"experiment {place} has {count} images, its files hold {len(all_images)}", "give the files of it"
        )
    return [Frame(file, index, place, first + i if scan else 0) for i, (file, index) in enumerate(all_images[:count])]


def _masks(file: FrameFile, detector: DetectorModel) -> tuple[Bits, ...]:
    """Pixels with a meaning, by the file's own mask and the rectangles of the panels."""
    masks = [without_rectangles(panel) for panel in detector.panels]
    if file.bad is not None:
        masks = [own & ~np.asarray(bad) for own, bad in zip(masks, split(file.path, file.bad, detector), strict=True)]
    return tuple(masks)


def without_rectangles(panel: PanelModel) -> Bits:
    """The pixels [slow, fast] of a panel outside of its rectangles without meaning."""
    mask = np.ones(panel.shape, dtype=np.bool_)
    for f0, s0, f1, s1 in panel.masked:
        mask[max(s0, 0) : max(s1, 0), max(f0, 0) : max(f1, 0)] = False
    return mask
