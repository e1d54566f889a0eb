"""Pixels around predicted or observed spots: a core that may hold the spot, and a frame that shows the background.

A region is a box of pixels over some images. A pixel belongs to one region of its image only: where cores overlap, to
that whose centre is nearest, and never to a background where it lies in any core. What a spot suffers is said by the
flags of its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable
from nanobrag_torch.spots.rays import Spread

Bits = NDArray[np.bool_]
Whole = NDArray[np.int64]
Floats = NDArray[np.float64]
Judge = Callable[[int], tuple[Sequence[Bits], Sequence[Bits]]]
"""Of an image by its number: per panel the pixels [slow, fast] that can be believed, and those that are saturated."""
WIDE = 3.0
"""Standard deviations of a rocking curve that a region covers on either side, and half an image."""
HARMFUL = Flag.OVERLOADED | Flag.FOREGROUND_INCLUDES_BAD_PIXELS | Flag.DONT_INTEGRATE | Flag.OVERLAPPED_FG


@dataclass(frozen=True, eq=False)
class FrameRegions:
    """The pixels of one image that belong to regions, panel by panel.

    Args:
        pixels: [P, 3] panel, slow, fast; no pixel twice.
        region: [P] the row of the table that each belongs to.
        core: [P] whether it may hold the spot; the others show the background.
    """

    pixels: Whole
    region: Whole
    core: Bits

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of reflections of one experiment.

    Args:
        table: the reflections, with `bbox` (the whole box) and flags.
        centres: [n, 3] fast, slow (pixels), image: where each is expected.
        core: half width of the core, pixels (fast, slow).
        shapes: (slow, fast) of every panel.
        mask: per panel the pixels [slow, fast] that have a meaning.
    """

    table: ReflectionTable
    centres: Floats
    core: tuple[float, float]
    shapes: tuple[tuple[int, int], ...]
    mask: tuple[Bits, ...]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def images(self) -> range:
        """Numbers of the images that any region touches; image n covers n - 1 to n."""
        boxes = self.table.boxes
        return range(int(boxes[:, 4].min()) + 1, int(boxes[:, 5].max()) + 1) if len(boxes) else range(0)

    def on(self, image: int, good: Sequence[Bits] | None = None) -> FrameRegions:
        """The pixels of an image.

        Args:
            image: its number.
            good: per panel the pixels [slow, fast] that can be believed; `mask` by default.
        """
        boxes, panels = self.table.boxes, self.table.panel
        here = np.flatnonzero((boxes[:, 4] < image) & (boxes[:, 5] >= image))
        keep = self.mask if good is None else good
        found = [
            self._on_panel(number, here[panels[here] == number], keep[number]) for number in np.unique(panels[here])
        ]
        if not found:
            return FrameRegions(np.zeros((0, 3), np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))
        return FrameRegions(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _on_panel(self, panel: int, rows: Whole, good: Bits) -> tuple[Whole, Whole, Bits]:
        """Pixels, regions and cores of the regions on a panel, in raster order."""
        slow, fast, region = _box_pixels(self.table.boxes[rows])
        away_f = np.abs(fast + 0.5 - self.centres[rows, 0][region]) / self.core[0]
        away_s = np.abs(slow + 0.5 - self.centres[rows, 1][region]) / self.core[1]
        core = (away_f <= 1.0) & (away_s <= 1.0)
        # One owner a pixel: cores before backgrounds, then the nearest.
        place = slow * self.shapes[panel][1] + fast
        order = np.lexsort((np.hypot(away_f, away_s), ~core, place))
        first = np.ones(len(order), dtype=np.bool_)
        first[1:] = np.diff(place[order]) != 0
        kept = order[first]
        kept = kept[good[slow[kept], fast[kept]]]
        pixels = np.column_stack([np.full(len(kept), panel), slow[kept], fast[kept]])
        return pixels, rows[region[kept]], core[kept]

    def judged(self, judge: Judge, *, images: Sequence[int] | None = None) -> Regions:
        """With the flags that pixel values give: `OVERLOADED` where a core holds a saturated pixel,
        `FOREGROUND_INCLUDES_BAD_PIXELS` and `BACKGROUND_INCLUDES_BAD_PIXELS` where one cannot be believed.

        Args:
            judge: what is known of an image.
            images: numbers of the images to look at; all that regions touch by default.
        """
        flags = self.table.flags.copy()
        everything = [np.ones(shape, dtype=np.bool_) for shape in self.shapes]
        for image in self.images if images is None else images:
            good, saturated = judge(image)
            listed = self.on(image, everything)
            for number in np.unique(listed.pixels[:, 0]):
                own = listed.pixels[:, 0] == number
                slow, fast = listed.pixels[own, 1], listed.pixels[own, 2]
                region, core = listed.region[own], listed.core[own]
                over = saturated[number][slow, fast]
                bad = ~good[number][slow, fast] & ~over
                flags[region[over & core]] |= np.uint64(Flag.OVERLOADED)
                flags[region[bad & core]] |= np.uint64(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
                flags[region[bad & ~core]] |= np.uint64(Flag.BACKGROUND_INCLUDES_BAD_PIXELS)
        return replace(self, table=self.table.with_columns({"flags": flags}))

    def usable(self, harmful: Flag = HARMFUL) -> Regions:
        """Without the regions that have any of some flags."""
        return self.select((self.table.flags & np.uint64(harmful)) == 0)

    def select(self, rows: Bits | Whole) -> Regions:
        """Some of the regions."""
        return replace(self, table=self.table.select(rows), centres=self.centres[rows])

    def __iter__(self) -> Iterator[FrameRegions]:
        """The pixels of every image, in order."""
        return (self.on(image) for image in self.images)


def _box_pixels(boxes: NDArray[np.int32]) -> tuple[Whole, Whole, Whole]:
    """Slow and fast of every pixel of boxes [n, 6], and the box that each is of."""
    wide, tall = (boxes[:, 1] - boxes[:, 0]).astype(np.int64), (boxes[:, 3] - boxes[:, 2]).astype(np.int64)
    count = wide * tall
    region = np.repeat(np.arange(len(boxes)), count)
    inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return boxes[region, 2] + inside // wide[region], boxes[region, 0] + inside % wide[region], region


def regions(
    table: ReflectionTable,
    experiment: Measured,
    *,
    core: float | tuple[float, float] = 4.0,
    border: float = 3.0,
    spread: Spread | None = None,
    observed: bool = False,
    mask: Sequence[Bits] | None = None,
) -> Regions:
    """The regions around the reflections of an experiment.

    Args:
        table: predicted reflections, or observed ones.
        experiment: the one that all of them belong to.
        core: half width of what may hold a spot, pixels (fast, slow).
        border: how far the background reaches beyond the core, pixels.
        spread: what the rocking curve comes from; what the experiment says by default.
        observed: take the centroids `xyzobs.px.value` instead of the predictions, and the images of `bbox`, if given.
        mask: per panel the pixels [slow, fast] that have a meaning; all by default.

    Returns:
        Regions of the reflections whose centre lies on its panel and in the scan, with flags: `DONT_INTEGRATE` where
        less than half of the core lies on pixels with a meaning, `FOREGROUND_INCLUDES_BAD_PIXELS` where some of it
        does not or is cut off by the edge, `OVERLAPPED_FG` and `OVERLAPPED_BG` where another core reaches into the
        core or the background on the same image.

    Raises:
        InputError: widths that are not positive, no positions in the table, or a mask of another detector.
    """
    half_f, half_s = (float(x) for x in (core if isinstance(core, tuple) else (core, core)))
    if not (half_f > 0 and half_s > 0 and border >= 0 and np.isfinite([half_f, half_s, border]).all()):
        raise InputError("core", f"{half_f:g} x {half_s:g} pixels with a border of {border:g}", "give positive widths")
    column = "xyzobs.px.value" if observed else "xyzcal.px"
    if column not in table:
        raise InputError("reflections", f"they have no {column}", "predict them, or give observed ones")
    shapes = tuple(panel.shape for panel in experiment.detector.panels)
    masks = tuple(np.ones(shape, np.bool_) for shape in shapes) if mask is None else tuple(np.asarray(m) for m in mask)
    if [m.shape for m in masks] != list(shapes):
        raise InputError("mask", "it has other panels than the detector", "give one array [slow, fast] per panel")
    low, high = _images_of(table, experiment, spread, observed)
    centre, panel = table[column], table.panel
    sizes = np.array(shapes)[np.clip(panel, 0, len(shapes) - 1)]
    inside = (panel < len(shapes)) & np.isfinite(centre).all(axis=1) & (high > low)
    inside &= (centre[:, 0] >= 0) & (centre[:, 0] < sizes[:, 1]) & (centre[:, 1] >= 0) & (centre[:, 1] < sizes[:, 0])
    table, centre, sizes, low, high = table.select(inside), centre[inside], sizes[inside], low[inside], high[inside]
    box = np.column_stack(
        [
            np.clip(np.floor(centre[:, 0] - half_f - border), 0, None),
            np.clip(np.ceil(centre[:, 0] + half_f + border), None, sizes[:, 1]),
            np.clip(np.floor(centre[:, 1] - half_s - border), 0, None),
            np.clip(np.ceil(centre[:, 1] + half_s + border), None, sizes[:, 0]),
            low,
            high,
        ]
    ).astype(np.int32)
    made = Regions(table.with_columns({"bbox": box}), centre, (half_f, half_s), shapes, masks)
    return replace(made, table=made.table.with_columns({"flags": _flags(made, border)}))


def _images_of(
    table: ReflectionTable, experiment: Measured, spread: Spread | None, observed: bool
) -> tuple[Whole, Whole]:
    """First image [n] and one past the last, as boxes count them (image n is n - 1 to n)."""
    scan = experiment.scan
    if experiment.still or scan is None or experiment.goniometer is None:
        place = 0 if scan is None else scan.first - 1
        return np.full(len(table), place), np.full(len(table), place + 1)
    first, last = scan.first - 1, scan.first - 1 + scan.images
    if observed and "bbox" in table:
        low, high = table.boxes[:, 4].astype(np.int64), table.boxes[:, 5].astype(np.int64)
    else:
        if spread is None and experiment.crystal is not None:
            spread = Spread.of(experiment.beam, experiment.crystal)
        centre = table["xyzobs.px.value" if observed else "xyzcal.px"][:, 2]
        width = 0.5 + WIDE * _rocking(table, experiment, spread or Spread()) / abs(scan.width)
        # A centroid that is not finite is sorted out later.
        low, high = (np.nan_to_num(x).astype(np.int64) for x in (np.floor(centre - width), np.ceil(centre + width)))
    return np.clip(low, first, None), np.clip(high, None, last)


def _rocking(table: ReflectionTable, experiment: Measured, spread: Spread) -> Floats:
    """Standard deviation [n] of the spindle angle over a rocking curve, degrees."""
    if "s1" not in table or experiment.goniometer is None:
        return np.zeros(len(table))
    s0, s1 = experiment.beam.s0, table["s1"]
    rate = np.abs(np.cross(s0, s1) @ experiment.goniometer.spindle) / np.linalg.norm(s0)
    wide = spread.of_excitation(s0, s1)
    return np.asarray(np.degrees(np.minimum(wide / np.maximum(rate, 1e-12), np.pi)))


def _flags(made: Regions, border: float) -> NDArray[np.uint64]:
    flags = made.table.flags.copy()
    half, boxes, panels = np.array(made.core), made.table.boxes, made.table.panel
    for number in np.unique(panels):
        own = np.flatnonzero(panels == number)
        centre, shape = made.centres[own, :2], np.array(made.shapes[number])
        # First and one past the last pixel (fast, slow) whose centre lies in the core, as if there were no edge.
        low, high = np.ceil(centre - half - 0.5), np.floor(centre + half - 0.5) + 1
        cut = ((low < 0) | (high > shape[::-1])).any(axis=1)
        whole = np.prod(high - low, axis=1)
        low, high = (np.clip(x, 0, shape[::-1]).astype(np.int64) for x in (low, high))
        sums = np.pad(np.cumsum(np.cumsum(~made.mask[number], axis=0, dtype=np.int64), axis=1), ((1, 0), (1, 0)))
        lost = _sum_of(sums, low[:, 0], high[:, 0], low[:, 1], high[:, 1])
        outer = _sum_of(sums, *boxes[own, :4].astype(np.int64).T) - lost
        meant = np.prod(high - low, axis=1) - lost
        flags[own[meant < 0.5 * whole]] |= np.uint64(Flag.DONT_INTEGRATE)
        flags[own[(lost > 0) | cut]] |= np.uint64(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
        flags[own[outer > 0]] |= np.uint64(Flag.BACKGROUND_INCLUDES_BAD_PIXELS)
        for reach, flag in ((half, Flag.OVERLAPPED_FG), (half + border, Flag.OVERLAPPED_BG)):
            flags[own[_reached(centre, boxes[own], half + reach)]] |= np.uint64(flag)
    return flags


def _sum_of(sums: Whole, f0: Whole, f1: Whole, s0: Whole, s1: Whole) -> Whole:
    """Sums [n] over rectangles of an array whose sums [slow + 1, fast + 1] from its corner are given."""
    return np.asarray(sums[s1, f1] - sums[s0, f1] - sums[s1, f0] + sums[s0, f0])


def _reached(centre: Floats, boxes: NDArray[np.int32], reach: Floats) -> Bits:
    """Which spots [n] have another within a reach (fast, slow) on an image that both are on."""
    hit = np.zeros(len(centre), dtype=np.bool_)
    # Rows by the images they are on: each row once for every image of its box.
    depth = (boxes[:, 5] - boxes[:, 4]).astype(np.int64)
    row = np.repeat(np.arange(len(boxes)), depth)
    image = boxes[row, 4] + np.arange(len(row)) - np.repeat(np.cumsum(depth) - depth, depth)
    order = np.argsort(image, kind="stable")
    edges = np.flatnonzero(np.diff(image[order])) + 1
    for rows in np.split(row[order], edges):
        hit[rows] |= _near(centre[rows], reach)
    return hit


def _near(centre: Floats, reach: Floats) -> Bits:
    """Which points [n] have another within a reach; sorted along slow, only neighbours that close are compared."""
    order = np.argsort(centre[:, 1], kind="stable")
    place = centre[order]
    hit = np.zeros(len(order), dtype=np.bool_)
    for step in range(1, len(order)):
        close = place[step:, 1] - place[:-step, 1] < reach[1]
        if not close.any():
            break
        close &= np.abs(place[step:, 0] - place[:-step, 0]) < reach[0]
        hit[:-step] |= close
        hit[step:] |= close
    found = np.zeros(len(order), dtype=np.bool_)
    found[order] = hit
    return found
