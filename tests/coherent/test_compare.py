"""Results beside each other: of one scan, of two scans, and pictures of what is known of them."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from nanobrag_torch.coherent.compare import compare_states
from nanobrag_torch.coherent.metrics import ramp_field
from nanobrag_torch.coherent.pictures import UNKNOWN, object_panels, picture
from nanobrag_torch.coherent.pie import State
from nanobrag_torch.coherent.specimens import measure
from nanobrag_torch.errors import InputError

REAL = torch.float64


@pytest.fixture(scope="module")
def truth():
    return measure(32, 9, 3.0, 1e6, noise=False).truth


def moved(truth: State, rows: int, columns: int) -> State:
    """The same result in an array with so many more rows and columns before it, with another phase and ramp."""
    target = torch.nn.functional.pad(torch.view_as_real(truth.target), (0, 0, columns, 3, rows, 2), value=1.0)
    target = torch.view_as_complex(target.contiguous())
    ramp = ramp_field(target, torch.tensor([0.02, -0.01], dtype=REAL))
    return State(0.7j * target * ramp, truth.probe, truth.positions + torch.tensor([rows, columns]))


def test_results_of_one_scan_lie_where_their_positions_say(truth):
    result = compare_states(moved(truth, 5, 2), truth)
    assert result.aligned.error < 1e-5
    assert result.positions == pytest.approx(0.0, abs=1e-9)


def test_results_of_two_scans_are_registered(truth):
    """A scan with fewer places has another mean of positions: the amplitudes tell where it lies."""
    other = moved(truth, 5, 2)
    fewer = replace(other, positions=other.positions[:60])
    result = compare_states(fewer, truth)
    assert result.positions is None
    assert result.aligned.error < 1e-5
    middles = fewer.positions.mean(0) - truth.positions.mean(0)
    assert float((middles - torch.tensor([5.0, 2.0])).abs().max()) > 2


def test_objects_that_have_nothing_in_common_are_refused(truth):
    other = measure(32, 9, 3.0, 1e6, noise=False, seed=7).truth
    with pytest.raises(InputError, match="objects: their scans have other positions, and the amplitudes do not show"):
        compare_states(replace(other, positions=other.positions[:60]), truth)


def test_pictures_show_the_known_part_and_what_is_unknown():
    target = torch.polar(torch.full((40, 50), 2.0, dtype=REAL), torch.full((40, 50), 0.5, dtype=REAL))
    known = torch.zeros(40, 50, dtype=torch.bool)
    known[10:20, 30:40] = True
    rest = torch.ones(16, 16, dtype=REAL)
    rest[3, 4] = torch.nan
    panels = object_panels(target, known, ("residual", rest))
    assert [values.shape for _, values, _, _ in panels] == [(18, 18), (18, 18), (16, 16)]
    assert np.isfinite(panels[0][1]).sum() == 100
    assert panels[0][3] == pytest.approx(2.0)
    with Image.open(io.BytesIO(picture(panels))) as image:
        pixels = np.asarray(image)
    pale = (pixels == np.array(UNKNOWN)).all(-1)
    factor = [math.ceil(220 / n) ** 2 for n in (18, 18, 16)]
    assert pale.sum() == (18 * 18 - 100) * (factor[0] + factor[1]) + factor[2]
