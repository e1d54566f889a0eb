"""Refinement: parameters that make an experiment, likelihoods, and a small loop that fits one to the other."""

from nanobrag_torch.models.quantities import QUANTITIES, Quantity
from nanobrag_torch.refine.fit import Fit, Observation, fit
from nanobrag_torch.refine.losses import correlation, gaussian, poisson
from nanobrag_torch.refine.parameters import Parameters

__all__ = [
    "QUANTITIES",
    "Fit",
    "Observation",
    "Parameters",
    "Quantity",
    "correlation",
    "fit",
    "gaussian",
    "poisson",
]
