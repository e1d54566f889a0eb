"""Refinement: parameters that make an experiment, likelihoods, and a small loop that fits one to the other."""

from nanobrag_torch.models.quantities import QUANTITIES, Quantity
from nanobrag_torch.refine.fit import Fit, Observation, fit
from nanobrag_torch.refine.likelihood import Noise
from nanobrag_torch.refine.locate import Located, Reach, locate
from nanobrag_torch.refine.losses import correlation, gaussian, poisson
from nanobrag_torch.refine.outcome import Amplitudes, Constraints, Estimate, Profile, Refined, Schedule
from nanobrag_torch.refine.parameters import Parameters
from nanobrag_torch.refine.scoring import refine_shots
from nanobrag_torch.refine.shots import Shot

__all__ = [
    "QUANTITIES",
    "Amplitudes",
    "Constraints",
    "Estimate",
    "Fit",
    "Located",
    "Noise",
    "Observation",
    "Parameters",
    "Profile",
    "Quantity",
    "Reach",
    "Refined",
    "Schedule",
    "Shot",
    "correlation",
    "fit",
    "gaussian",
    "locate",
    "poisson",
    "refine_shots",
]
