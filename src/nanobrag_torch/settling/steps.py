"""Counts, ranges and steps: what the C program makes of them when some are not given (specs: sources 1 to 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_MOSAIC_DOMAINS = 10


@dataclass(frozen=True)
class Steps:
    """A settled sequence: `count` values, `step` apart, spanning `range`."""

    count: int
    range: float
    step: float


ONE = Steps(1, 0.0, 0.0)


def divergence_steps(count: int | None, range_: float | None, step: float | None) -> Steps:
    """Steps of one divergence plane, rad (specs: sources 1)."""
    n = count if count is not None and count > 0 else None
    r = range_ if range_ is not None and range_ >= 0 else None
    s = step if step is not None and step > 0 else None
    if n is None:
        settled = _without_count(r, s)
    elif r is None:
        settled = Steps(n, 1.0, 1.0 / n) if s is None else Steps(2, s, s)
    elif s is None:
        n = max(n, 2)
        settled = Steps(n, r, r / (n - 1))
    else:
        settled = Steps(n, r, s)
    return settled if settled.range > 0 and settled.step > 0 and settled.count > 0 else ONE


def _without_count(range_: float | None, step: float | None) -> Steps:
    if range_ is None:
        return ONE if step is None else Steps(2, step, step)
    if step is None:
        return Steps(2, range_, range_)
    return Steps(math.ceil(range_ / step), range_, step)


def dispersion_steps(count: int | None, range_: float | None) -> Steps:
    """Wavelength steps as fractions of the central wavelength (specs: sources 2)."""
    n = count if count is not None and count > 0 else None
    epsilon = 0.0 if range_ is None else range_
    if epsilon >= 0:
        n = 2 if n is None else max(n, 2)
        settled = Steps(n, epsilon, epsilon / (n - 1))
    else:
        settled = ONE if n is None else Steps(n, 1.0, 1.0 / n)
    return settled if settled.range > 0 and settled.step > 0 else ONE


def layer_steps(count: int | None, thickness: float | None, exact: bool) -> Steps:
    """Sensor layers and their thickness, m (specs: sources 3; deviations F, D30, D63).

    The exact mode cuts the sensor into `count` layers (default 2) of thickness/count.
    """
    n = count if count is not None and count > 0 else None
    w = 0.0 if thickness is None else thickness
    if exact:
        n = 2 if n is None else n
        settled = Steps(n, w, w / n)
    elif w >= 0:
        settled = Steps(2, w, w / 2.0) if n is None else Steps(max(n, 2), w, w / (max(n, 2) - 1))
    else:
        settled = ONE if n is None else Steps(n, 0.5e-6, 0.5e-6 / n)
    return settled if settled.range > 0 and settled.step > 0 else ONE


def phi_steps(count: int | None, osc: float | None, step: float | None, one_degree: float) -> Steps:
    """Spindle steps, rad (specs: sources 4; a count of 0 is one step, deviations D20)."""
    n = max(count, 1) if count is not None and count >= 0 else None
    o = osc if osc is not None and osc >= 0 else None
    s = -1.0 if step is None else step
    if n is None:
        settled = _phi_without_count(o, s)
    elif o is None:
        settled = Steps(n, one_degree, one_degree / n) if s <= 0 else Steps(2, s, s)
    else:
        settled = Steps(n, o, o / n if s < 0 else s)
    return Steps(max(settled.count, 1), settled.range, settled.step)


def _phi_without_count(osc: float | None, step: float) -> Steps:
    if osc is None:
        return ONE if step <= 0 else Steps(2, step, step)
    if step <= 0:
        return Steps(2, osc, osc / 2.0)
    return Steps(math.ceil(osc / step), osc, step)


def mosaic_domains(count: int | None, spread: float | None) -> tuple[int, float, str]:
    """Domains, spread (rad) and the C program's warning, if any (specs: sources 5)."""
    n = count if count is not None and count > 0 else None
    if spread is None or spread < 0:
        text = "WARNING: no mosaic spread specified.  setting mosaic_domains = 1"
        return 1, 0.0, text if n is not None else ""
    if spread == 0:
        text = "WARNING: zero mosaic spread specified.  setting mosaic_domains = 1"
        return 1, 0.0, text if n is not None else ""
    if n is None:
        text = "WARNING: finite mosaicity with only one domain! upping to 10 mosaic domains"
        return DEFAULT_MOSAIC_DOMAINS, spread, text
    return n, spread, ""
