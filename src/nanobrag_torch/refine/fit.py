"""A small loop that moves parameters until an experiment explains an observation; anyone can write another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import LBFGS, Adam

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.pipeline.simulator import Simulator
from nanobrag_torch.refine.parameters import Parameters

Loss = Callable[[Tensor, Tensor], Tensor]
"""A function of expected [P] and observed [P] values (photons) that returns a scalar."""
METHODS = ("lbfgs", "adam")
_LAST_RATE = 0.01


@dataclass(frozen=True)
class Observation:
    """What was measured: `values` [P] in photons at `pixels` [P, 3] (panel, slow, fast), panel by panel."""

    values: Tensor
    pixels: Tensor

    @staticmethod
    def of(
        images: Any | Sequence[Any],
        *,
        keep: Any | Sequence[Any] | None = None,
        offset: float = 0.0,
    ) -> Observation:
        """An observation from an image [slow, fast], or from one per panel.

        Args:
            images: counts or photons; an array or a tensor, or a tuple or list of them, one per panel.
            keep: bool [slow, fast] in the same form, False = pixel that does not count; pixels that are not finite
                never count.
            offset: what to subtract, such as the 40 counts of the integer images.

        Raises:
            InputError: no pixel counts, or shapes that do not fit.
        """
        panels = [_plain(image) for image in (images if isinstance(images, tuple | list) else [images])]
        chosen = [np.isfinite(panel) for panel in panels]
        if keep is not None:
            masks = [np.asarray(k, dtype=bool) for k in (keep if isinstance(keep, tuple | list) else [keep])]
            if [m.shape for m in masks] != [panel.shape for panel in panels]:
                raise InputError("keep", "its shape is not that of the image", "give one mask [slow, fast] per panel")
            chosen = [c & m for c, m in zip(chosen, masks, strict=True)]
        values = np.concatenate([panel[c] for panel, c in zip(panels, chosen, strict=True)]) - offset
        places = [np.column_stack([np.full(int(c.sum()), index), *np.nonzero(c)]) for index, c in enumerate(chosen)]
        if not len(values):
            raise InputError("keep", "no pixel is left to compare", "keep some")
        return Observation(torch.from_numpy(values), torch.from_numpy(np.concatenate(places).astype(np.int64)))

    def __len__(self) -> int:
        return len(self.values)

    def subset(self, chosen: Tensor) -> Observation:
        """The observation at some of its pixels [Q], in ascending order."""
        chosen = torch.sort(chosen).values
        return Observation(self.values[chosen], self.pixels[chosen])


@dataclass(frozen=True)
class Fit:
    """How a fit went.

    Args:
        experiment: with the last values, free of any graph.
        losses: the loss at every evaluation.
        path: after every step, the values in the user's units.
        converged: whether the loss stopped improving before the steps ran out.
    """

    experiment: Experiment
    losses: tuple[float, ...]
    path: tuple[dict[str, Tensor], ...] = field(repr=False)
    converged: bool


def expected_values(experiment: Experiment, pixels: Tensor, backend: str | None = None) -> Tensor:
    """Values [P] (photons) of an experiment at pixels [P, 3], in the graph of the experiment."""
    return torch.cat(list(Simulator(experiment, backend=backend).run(pixels).values))


def fit(
    parameters: Parameters,
    observation: Observation,
    loss: Loss,
    *,
    method: str = "lbfgs",
    steps: int = 50,
    rate: float = 1.0,
    batch: int | None = None,
    backend: str | None = None,
) -> Fit:
    """Move the parameters downhill until the loss stops improving or the steps run out.

    Args:
        parameters: what is refined; moved in place.
        observation: what to explain.
        loss: how well it is explained.
        method: `lbfgs` with a line search, or `adam`, whose rate falls to a hundredth along a cosine.
        steps: at most so many.
        rate: of the method, in raw units: 1 is the quantity's natural step.
        batch: for `adam`, pixels drawn anew for every step; `None` = all.
        backend: of the simulator.

    Raises:
        InputError: an unknown method, or a loss that is not finite.
    """
    if method not in METHODS:
        raise InputError("method", f"{method!r} is not known", "use one of " + ", ".join(METHODS))
    if batch is not None and method == "lbfgs":
        raise InputError("batch", "a line search needs all pixels", "use method='adam' or leave it out")
    losses: list[float] = []

    def evaluate(part: Observation) -> Tensor:
        parameters.zero_grad(set_to_none=True)
        value = loss(expected_values(parameters(), part.pixels, backend), part.values)
        if not bool(torch.isfinite(value)):
            raise InputError("loss", f"it is {float(value.detach())} at evaluation {len(losses)}", _NOT_FINITE)
        value.backward()  # type: ignore[no-untyped-call]
        losses.append(float(value.detach()))
        return value

    if method == "lbfgs":
        path, converged = _lbfgs(parameters, lambda: evaluate(observation), steps, rate)
    else:
        path, converged = _adam(parameters, observation, evaluate, steps, (rate, batch))
    return Fit(parameters.settled(), tuple(losses), tuple(path), converged)


_NOT_FINITE = "give poisson a background where nothing is expected, smaller scales, or bounds"
_TOLERANCE = 1e-9
_QUIET_STEPS = 3


def _lbfgs(
    parameters: Parameters, closure: Callable[[], Tensor], steps: int, rate: float
) -> tuple[list[dict[str, Tensor]], bool]:
    """Steps of L-BFGS, one at a time so that the path can be kept."""
    optimizer = LBFGS(parameters.parameters(), lr=rate, max_iter=1, max_eval=20, line_search_fn="strong_wolfe")
    path: list[dict[str, Tensor]] = []
    last, quiet = float("inf"), 0
    for _ in range(steps):
        now = float(optimizer.step(closure).detach())  # type: ignore[no-untyped-call]
        path.append(parameters.shown())
        quiet = quiet + 1 if last - now <= _TOLERANCE * abs(last) else 0
        if quiet >= _QUIET_STEPS:
            return path, True
        last = now
    return path, False


def _adam(
    parameters: Parameters,
    observation: Observation,
    evaluate: Callable[[Observation], Tensor],
    steps: int,
    rate_and_batch: tuple[float, int | None],
) -> tuple[list[dict[str, Tensor]], bool]:
    """Steps of Adam; it never says that it has converged."""
    rate, batch = rate_and_batch
    optimizer = Adam(parameters.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1), rate * _LAST_RATE)
    generator = torch.Generator().manual_seed(0)
    path: list[dict[str, Tensor]] = []
    for _ in range(steps):
        part = observation
        if batch is not None and batch < len(observation):
            part = observation.subset(torch.randperm(len(observation), generator=generator)[:batch])
        evaluate(part)
        optimizer.step()
        schedule.step()
        path.append(parameters.shown())
    return path, False


def _plain(image: Any) -> np.ndarray:
    """An image [slow, fast] as a float64 array."""
    values = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if values.ndim != 2:
        raise InputError("images", f"an image of shape {values.shape}", "give [slow, fast], one per panel")
    return np.asarray(values, dtype=np.float64)
