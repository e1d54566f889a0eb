"""What a job asks to vary over the scans of its sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from nanobrag_torch.errors import InputError
from nanobrag_torch.io.expt_models import Measured
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
from nanobrag_torch.refine.asked import Job, names_of
from nanobrag_torch.refine.gather import Gathered
from nanobrag_torch.refine.varying import VARIABLE, Smoother, spline_weights

_FLAG = "--scan-varying"


def varying_names(job: Job, names: Sequence[str], first: Experiment, measured: Sequence[Measured]) -> list[str]:
    """The quantities that vary over the scan of every sweep.

    Raises:
        InputError: a quantity that cannot vary, that is not refined or that sweeps are to share, or a still.
    """
    found = names_of(job.scan_varying, first, _FLAG)
    for name in found:
        if name not in VARIABLE:
            raise InputError(_FLAG, f"{name} cannot vary over a scan", "choose among misset, cell")
        if name not in names:
            raise InputError(_FLAG, f"{name} is not refined", "name it in --refine too")
        if len(measured) > 1 and job.shared is not None and name in names_of(job.shared, first, "--shared"):
            raise InputError(_FLAG, f"{name} is shared by several sweeps", "leave it out of --shared")
    if found and any(one.still for one in measured):
        raise InputError(_FLAG, "a still has one orientation and one cell", "give sweeps")
    return found


def varying(job: Job, gathered: Gathered, names: Sequence[str], measured: Measured) -> Gathered:
    """The same sweep with what varies over it; images that are left out lie on the same spline.

    Raises:
        InputError: more knots than images.
    """
    found = tuple(varying_names(job, names, gathered.shot.experiment, [measured]))
    if not found:
        return gathered
    if job.knots > len(gathered.numbers):
        text = f"{job.knots} are more than the {len(gathered.numbers)} images with spots of experiment {gathered.place}"
        raise InputError("--knots", text, "give fewer")

    def smoothed(one: Gathered) -> Gathered:
        scan = measured.scan
        assert scan is not None
        middles = torch.tensor(one.numbers, dtype=torch.float64) - (scan.first - 0.5)
        smoother = Smoother(found, spline_weights(middles / scan.images, job.knots))
        return replace(one, shot=replace(one.shot, smoother=smoother))

    left = gathered.left_out
    return replace(smoothed(gathered), left_out=None if left is None else smoothed(left))


def smooth_widths(job: Job, names: Sequence[str], first: Experiment) -> dict[str, float]:
    """The widths of changes between knots, settled units.

    Raises:
        InputError: of something that does not vary.
    """
    found, there = {}, names_of(job.scan_varying, first, _FLAG)
    for name, width in job.smooth.items():
        members = [one for one in names_of([name], first, "--smooth") if one in there and one in names]
        if not members:
            raise InputError("--smooth", f"{name} does not vary", "name it in --scan-varying too")
        for one in members:
            found[one] = width / float(QUANTITIES[one].shown(torch.ones((), dtype=torch.float64)))
    return found
