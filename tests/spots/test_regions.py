"""Regions around spots: every pixel has one owner, and edges, overlaps, gaps and saturation are told."""

from __future__ import annotations

import numpy as np
import pytest

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import (
    BeamModel,
    CrystalModel,
    DetectorModel,
    GoniometerModel,
    Measured,
    PanelModel,
    ScanModel,
)
from nanobrag_torch.io.reflection_table import Flag, ReflectionTable
from nanobrag_torch.io.scene import ScenePanel
from nanobrag_torch.spots import Spread, predict, regions

X, Y, Z = np.eye(3)
SLOW, FAST = 60, 80


def experiment(panels: int = 1, scan: ScanModel | None = None) -> Measured:
    plates = tuple(
        PanelModel(ScenePanel(FAST, SLOW, 1e-3, np.array([-0.04 + 0.09 * i, 0.03, -0.1]), X, -Y), (1.0, 1.0))
        for i in range(panels)
    )
    goniometer = None if scan is None else GoniometerModel(X)
    return Measured(
        BeamModel(-Z, 1.0), DetectorModel(plates), goniometer, scan, CrystalModel(np.diag([20.0, 21.0, 22.0]))
    )


def table(places, panel=None, **columns) -> ReflectionTable:
    xyz = np.array(places, dtype=float)
    n = len(xyz)
    return ReflectionTable(
        {
            "miller_index": np.arange(3 * n).reshape(n, 3) + 1,
            "id": np.zeros(n, int),
            "panel": np.zeros(n, int) if panel is None else np.array(panel),
            "flags": np.full(n, int(Flag.PREDICTED)),
            "xyzcal.px": xyz,
            **columns,
        }
    )


def test_pixels_of_one_spot():
    made = regions(table([[30.5, 20.5, 0.5]]), experiment(), core=2.0, border=1.0)
    assert list(made.images) == [1]
    found = made.on(1)
    # Centres within 2 pixels of the centre: 5 x 5; the box reaches 3 pixels each way: 7 x 7.
    assert (len(found), int(found.core.sum())) == (49, 25)
    assert found.pixels[found.core].min(axis=0).tolist() == [0, 18, 28]
    assert found.pixels[found.core].max(axis=0).tolist() == [0, 22, 32]
    assert made.table.boxes.tolist() == [[27, 34, 17, 24, 0, 1]]
    assert made.table.flags.tolist() == [int(Flag.PREDICTED)]
    assert len(made.on(2)) == 0


def test_no_pixel_has_two_owners_and_cores_go_to_the_nearest():
    places = [[30.5, 20.5, 0.5], [34.5, 20.5, 0.5], [50.5, 40.5, 0.5], [57.5, 40.5, 0.5]]
    made = regions(table(places), experiment(), core=3.0, border=2.0)
    found = made.on(1)
    assert len(np.unique(found.pixels, axis=0)) == len(found)
    fast = found.pixels[:, 2]
    assert (fast[found.core & (found.region == 0)] <= 32).all()
    assert (fast[found.core & (found.region == 1)] >= 32).all()
    flags = made.table
    assert flags.flagged(Flag.OVERLAPPED_FG).tolist() == [True, True, False, False]
    assert flags.flagged(Flag.OVERLAPPED_BG).tolist() == [True, True, True, True]
    # Where one's background meets the other's core, the core has it.
    core_of_3 = (found.region == 3) & found.core
    assert core_of_3.sum() == 49
    assert len(made.usable()) == 2
    alone = regions(table(places[2:]), experiment(), core=3.0, border=0.5)
    assert not alone.table.flagged(Flag.OVERLAPPED_BG).any()


def test_brute_force_of_owners():
    rng = np.random.default_rng(2)
    places = np.column_stack([rng.uniform(0, FAST, 40), rng.uniform(0, SLOW, 40), np.full(40, 0.5)])
    mask = rng.random((SLOW, FAST)) > 0.1
    made = regions(table(places), experiment(), core=(2.5, 3.5), border=2.0, mask=[mask])
    found = made.on(1)
    owner = {(s, f): (r, c) for (_, s, f), r, c in zip(found.pixels.tolist(), found.region, found.core, strict=True)}
    for s in range(SLOW):
        for f in range(FAST):
            near = []
            for row, (x, y, _) in enumerate(places):
                a, b = abs(f + 0.5 - x) / 2.5, abs(s + 0.5 - y) / 3.5
                box = np.floor(x - 4.5) <= f < np.ceil(x + 4.5) and np.floor(y - 5.5) <= s < np.ceil(y + 5.5)
                if box:
                    near.append((not (a <= 1 and b <= 1), np.hypot(a, b), row))
            if not near or not mask[s, f]:
                assert (s, f) not in owner
            else:
                outside, _, row = min(near)
                assert owner[s, f] == (row, not outside)


def test_edges_and_gaps():
    mask = np.ones((SLOW, FAST), bool)
    mask[:, 38:43] = False
    mask[10, 60] = False
    mask[50, 66] = False
    places = [[1.0, 30.0, 0.5], [40.5, 30.5, 0.5], [60.5, 10.5, 0.5], [60.5, 50.5, 0.5], [20.5, 30.5, 0.5]]
    made = regions(table(places), experiment(), core=4.0, border=3.0, mask=[mask])
    bad = made.table.flagged(Flag.FOREGROUND_INCLUDES_BAD_PIXELS)
    assert bad.tolist() == [True, True, True, False, False]
    assert made.table.flagged(Flag.DONT_INTEGRATE).tolist() == [False, True, False, False, False]
    assert made.table.flagged(Flag.BACKGROUND_INCLUDES_BAD_PIXELS).tolist() == [False, True, False, True, False]
    assert made.table.boxes[0].tolist() == [0, 8, 23, 37, 0, 1]
    assert not (made.on(1).pixels[:, 2] == 40).any()
    np.testing.assert_array_equal(made.usable().centres[:, 0], [60.5, 20.5])


def test_saturated_pixels_and_bad_ones():
    made = regions(table([[20.5, 20.5, 0.5], [50.5, 20.5, 0.5], [50.5, 45.5, 0.5]]), experiment(), core=2.0, border=2.0)
    good, saturated = np.ones((SLOW, FAST), bool), np.zeros((SLOW, FAST), bool)
    saturated[21, 20], good[21, 20] = True, False
    good[20, 50] = False
    good[45, 54] = False
    judged = made.judged(lambda image: ([good], [saturated]))
    assert judged.table.flagged(Flag.OVERLOADED).tolist() == [True, False, False]
    assert judged.table.flagged(Flag.FOREGROUND_INCLUDES_BAD_PIXELS).tolist() == [False, True, False]
    assert judged.table.flagged(Flag.BACKGROUND_INCLUDES_BAD_PIXELS).tolist() == [False, False, True]
    assert len(judged.usable()) == 1
    assert not made.table.flagged(Flag.OVERLOADED).any()


def test_images_of_a_scan():
    """Half an image and three standard deviations of the rocking curve, within the scan."""
    what = experiment(scan=ScanModel(first=11, images=20, start=0.0, width=0.5))
    spots = predict(what, 2.0, Spread(mosaicity_deg=0.2))
    made = regions(spots, what, spread=Spread(mosaicity_deg=0.2))
    assert len(made) > 10
    boxes, place = made.table.boxes, made.centres[:, 2]
    half = 0.5 + 3.0 * 0.2 / np.abs(made.table["zeta"]) / 0.5
    assert (boxes[:, 4] >= 10).all()
    assert (boxes[:, 5] <= 30).all()
    np.testing.assert_array_equal(boxes[:, 4], np.clip(np.floor(place - half), 10, None))
    np.testing.assert_array_equal(boxes[:, 5], np.clip(np.ceil(place + half), None, 30))
    assert made.images.start >= 11
    assert made.images.stop <= 31
    total = sum(len(found) for found in made)
    assert total > 0


def test_spots_at_different_times_do_not_overlap():
    what = experiment(scan=ScanModel(first=1, images=20, start=0.0, width=0.5))
    spots = table([[20.5, 20.5, 2.5], [22.5, 20.5, 12.5]])
    made = regions(spots, what, spread=Spread())
    assert not made.table.flagged(Flag.OVERLAPPED_FG).any()
    assert made.table.boxes[:, 4:].tolist() == [[2, 3], [12, 13]]


def test_observed_spots_keep_their_images():
    what = experiment(scan=ScanModel(first=1, images=20, start=0.0, width=0.5))
    box = np.array([[18, 23, 18, 23, 3, 7]])
    spots = table([[0, 0, 0]], **{"xyzobs.px.value": np.array([[20.5, 20.5, 5.0]]), "bbox": box})
    made = regions(spots, what, observed=True)
    assert made.table.boxes[0, 4:].tolist() == [3, 7]
    np.testing.assert_array_equal(made.centres, [[20.5, 20.5, 5.0]])


def test_panels_have_their_own_pixels():
    made = regions(table([[20.5, 20.5, 0.5], [20.5, 20.5, 0.5]], panel=[0, 1]), experiment(2), core=2.0, border=1.0)
    found = made.on(1)
    assert sorted(set(found.pixels[:, 0].tolist())) == [0, 1]
    assert len(found) == 98
    assert not made.table.flagged(Flag.OVERLAPPED_FG).any()
    assert (np.diff(found.pixels[:, 0]) >= 0).all()


def test_spots_outside_are_left_out():
    made = regions(table([[-1.0, 5.0, 0.5], [5.0, np.nan, 0.5], [FAST, 5.0, 0.5], [5.0, 5.0, 0.5]]), experiment())
    assert len(made) == 1


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("core: 0 x 4 pixels", {"core": (0.0, 4.0)}),
        ("core: 4 x 4 pixels with a border of -1", {"border": -1.0}),
        ("they have no xyzobs.px.value", {"observed": True}),
        ("mask: it has other panels", {"mask": [np.ones((3, 3), bool)]}),
    ],
)
def test_refusals(words, changes):
    with pytest.raises(InputError, match=words):
        regions(table([[5.0, 5.0, 0.5]]), experiment(), **changes)
