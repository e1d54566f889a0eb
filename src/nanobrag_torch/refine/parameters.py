"""Raw parameters that an optimizer moves freely, and the experiment they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nanobrag_torch.errors import InputError
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES, Quantity

NO_GRADIENT = ("tophat",)
"""Lattice shapes whose derivative is zero wherever it exists."""


class Parameters(nn.Module):
    """Refined quantities of an experiment, as raw parameters of comparable size that start at 0.

    Calling it gives the experiment with the present values, in the graph of the raw parameters. With start x0,
    scale s and raw parameter r, a value is

        x0 + s r            when it is free,
        x0 exp(s r)         when it is positive,
        lo + (hi - lo) / (1 + exp(-(c + k r)))  when it has bounds, c and k such that x(0) = x0 and x'(0) = s.

    Args:
        experiment: the start.
        names: what to refine, of `QUANTITIES`.
        bounds: by name, smallest and largest value in settled units (m, rad, Å).
        scales: by name, how far one raw unit moves the value, settled units (a fraction when it is positive).
        knots: by name, how many knots a quantity has that varies over a scan; its raw parameter, and its value, have
            one row for each, and the experiment has their mean.

    Raises:
        InputError: an unknown name, a quantity that cannot be refined in this experiment, a start outside its bounds
            or not positive, or the top-hat shape, which has no useful gradient.
    """

    def __init__(
        self,
        experiment: Experiment,
        names: Sequence[str],
        *,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        scales: Mapping[str, float] | None = None,
        knots: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        if experiment.crystal.shape in NO_GRADIENT:
            raise InputError(
                "shape", "tophat spots have no useful gradient", "refine with square, round or gauss instead"
            )
        self.start = experiment
        self.bounds = dict(bounds or {})
        self.names = tuple(names)
        self.knots = dict(knots or {})
        self._starts: dict[str, Tensor] = {}
        self._scales: dict[str, float] = {}
        if not self.names:
            raise InputError("names", "there is nothing to refine", "choose among " + ", ".join(QUANTITIES))
        for name in (*self.bounds, *(scales or {})):
            if name not in self.names:
                raise InputError(name, "it has bounds or a scale but is not refined", "name it among the refined")
        for name in self.names:
            quantity = _quantity(name, experiment)
            start = quantity.take(experiment).detach().clone()
            if name in self.knots:
                start = start.expand(self.knots[name], *start.shape).clone()
            self._check_start(name, quantity, start)
            self._starts[name] = start
            self._scales[name] = (scales or {}).get(name, quantity.scale)
            self.register_parameter(name, nn.Parameter(torch.zeros_like(start, dtype=torch.float64)))

    def _check_start(self, name: str, quantity: Quantity, start: Tensor) -> None:
        if name in self.bounds:
            low, high = self.bounds[name]
            if not bool(((start > low) & (start < high)).all()):
                raise InputError(name, f"it starts at {start.tolist()}, outside {low} to {high}", "widen the bounds")
        elif quantity.positive and not bool((start > 0).all()):
            raise InputError(name, f"it starts at {start.tolist()}", "give it a positive start")

    def begun(self, name: str) -> Tensor:
        """The value of a refined quantity at the start, settled units."""
        return self._starts[name]

    def value(self, name: str) -> Tensor:
        """The present value of a refined quantity, settled units, in its graph."""
        raw, start, scale = self.get_parameter(name), self._starts[name], self._scales[name]
        if name in self.bounds:
            low, high = self.bounds[name]
            place = (start - low) / (high - low)
            slope = scale * (start.abs() if QUANTITIES[name].positive else 1.0)
            steepness = slope / ((high - low) * place * (1.0 - place))
            return low + (high - low) * torch.sigmoid(torch.logit(place) + steepness * raw)
        if QUANTITIES[name].positive:
            return start * torch.exp(scale * raw)
        return start + scale * raw

    def forward(self) -> Experiment:
        """The experiment with the present values."""
        experiment = self.start
        for name in self.names:
            value = self.value(name)
            experiment = QUANTITIES[name].put(experiment, value.mean(0) if name in self.knots else value)
        return experiment

    def settled(self) -> Experiment:
        """The experiment with the present values, free of any graph."""
        experiment = self.start
        for name in self.names:
            value = self.value(name).detach().clone()
            experiment = QUANTITIES[name].put(experiment, value.mean(0) if name in self.knots else value)
        return experiment

    def at_knots(self) -> dict[str, Tensor]:
        """The values [K, ...] of what varies over a scan, free of any graph."""
        return {name: self.value(name).detach().clone() for name in self.knots}

    def shown(self) -> dict[str, Tensor]:
        """The present values in the user's units (degrees, mm, Å), detached."""
        return {name: QUANTITIES[name].shown(self.value(name).detach()) for name in self.names}

    def table(self) -> str:
        """The present values as lines of text: name, value, unit."""
        width = max(map(len, self.names))
        lines = []
        for name, value in self.shown().items():
            numbers = value.reshape(-1).tolist()
            text = " ".join(f"{x:.6g}" for x in numbers[:6]) + (" ..." if len(numbers) > 6 else "")
            lines.append(f"{name:<{width}}  {text} {QUANTITIES[name].unit}".rstrip())
        return "\n".join(lines)


def _quantity(name: str, experiment: Experiment) -> Quantity:
    if name not in QUANTITIES:
        raise InputError(name, "it is not a refinable quantity", "choose among " + ", ".join(QUANTITIES))
    objection = QUANTITIES[name].objection(experiment)
    if objection is not None:
        raise InputError(name, objection)
    return QUANTITIES[name]
