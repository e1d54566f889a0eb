"""What registration refuses: one line that says what, where, and what to do."""

from __future__ import annotations

import difflib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.register.bspline import knot_count
from nanobrag_torch.register.transforms import MODELS

LEAST_SIDE = 16
LARGEST_SPLINE = 4000
"""Coefficients of a free-form deformation: its Hessian has as many rows."""
SIMILARITIES = ("ncc", "mind", "ssd")


def choice(field: str, said: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is not known, with the nearest one that is."""
    if said not in known:
        near = difflib.get_close_matches(str(said), known, 1, 0.0)[0]
        raise InputError(field, f"{said!r} is unknown", f"use one of {', '.join(known)} (did you mean {near}?)")


def image(field: str, said: Any) -> Tensor:
    """An image [H, W] in float64, in the graph that it came in.

    Raises:
        InputError: complex, not two-dimensional, or too small.
    """
    found = as_real(field, said)
    if found.ndim != 2:
        raise InputError(field, f"has {found.ndim} dimensions", "an image has two, slow and fast")
    if min(found.shape) < LEAST_SIDE:
        size = " x ".join(str(n) for n in found.shape)
        raise InputError(field, f"{size} pixels are too few", f"give at least {LEAST_SIDE} along each side")
    return found


def as_real(field: str, said: Any) -> Tensor:
    """A tensor of real numbers in float64. Raises `InputError` for anything else."""
    if isinstance(said, Tensor):
        found = said
    else:
        try:
            found = torch.as_tensor(np.asarray(said))
        except (TypeError, ValueError) as error:
            raise InputError(field, "is not an array of numbers", "give a tensor or a NumPy array") from error
    if found.is_complex():
        raise InputError(field, "is complex", "register amplitudes or phases: .abs() or .angle()")
    return found.to(device="cpu", dtype=torch.float64)


def weights(field: str, said: Any, like: Tensor) -> Tensor:
    """Weights [H, W] of an image's pixels: ones where nothing was given.

    Raises:
        InputError: another shape, not finite, negative, or nothing kept.
    """
    if said is None:
        return torch.ones_like(like.detach())
    found = as_real(field, said)
    if found.shape != like.shape:
        raise InputError(field, f"has shape {tuple(found.shape)}", f"its image has {tuple(like.shape)}")
    where = first(~(found.detach() >= 0.0) | found.detach().isinf())
    if where is not None:
        raise InputError(field, f"the weight at slow {where[0]}, fast {where[1]} is not a number >= 0", "use 0 and 1")
    if not bool((found.detach() > 0.0).any()):
        raise InputError(field, "leaves out every pixel", "True (or a weight above 0) keeps a pixel")
    return found


def contents(field: str, values: Tensor, keep: Tensor) -> None:
    """Refuse kept pixels that are not finite, and an image without contrast."""
    kept = keep.detach() > 0.0
    bad = kept & ~values.detach().isfinite()
    where = first(bad)
    if where is not None:
        count = int(bad.sum())
        many = f"{count} kept pixels are" if count > 1 else "1 kept pixel is"
        problem = f"{many} not finite, the first at slow {where[0]}, fast {where[1]}"
        raise InputError(field, problem, "leave them out with keep=")
    found = values.detach()[kept]
    if float(found.max() - found.min()) <= 1e-12 * float(found.abs().max()):
        raise InputError(field, f"every kept pixel is {float(found[0]):.6g}", "there is nothing to register on")


def first(bad: Tensor) -> tuple[int, int] | None:
    """Slow and fast of the first pixel that is True, or `None`."""
    places = torch.nonzero(bad)
    return (int(places[0, 0]), int(places[0, 1])) if len(places) else None


def scalar(field: str, said: float | Tensor, *, zero: bool) -> Tensor:
    """A number as a float64 scalar, in the graph that it came in; above 0, or 0 where `zero` allows it."""
    found = as_real(field, said)
    if found.ndim != 0:
        raise InputError(field, f"has {found.ndim} dimensions", "give one number")
    number = float(found.detach())
    if not (math.isfinite(number) and (number > 0.0 or (zero and number == 0.0))):
        raise InputError(field, f"{number:.6g}", f"give a number {'from' if zero else 'above'} 0")
    return found


def grid(model: str, spacing: float, size: tuple[int, int]) -> None:
    """Refuse a model that is unknown, and a grid of knots that is too fine, too coarse or no number."""
    choice("model", model, (*MODELS, "spline"))
    if model != "spline":
        return
    if not (math.isfinite(spacing) and spacing >= 4.0):
        raise InputError("spacing", f"{spacing:.6g} pixels", "knots stand at least 4 pixels apart")
    count = 2 * knot_count(size[0], spacing) * knot_count(size[1], spacing)
    if count > LARGEST_SPLINE:
        wide = spacing * math.sqrt(count / LARGEST_SPLINE)
        raise InputError(
            "spacing",
            f"{spacing:.6g} pixels make {count} coefficients",
            f"at most {LARGEST_SPLINE} are solved for: give {math.ceil(1.1 * wide)} or more, or bin the images",
        )
