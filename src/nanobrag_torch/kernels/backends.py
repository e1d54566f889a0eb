"""The implementations of the primitives, and how one of them is chosen."""

from __future__ import annotations

import logging
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from nanobrag_torch.errors import BackendUnavailable
from nanobrag_torch.kernels import cpu, cuda, reference
from nanobrag_torch.kernels.compiled import Compiled
from nanobrag_torch.kernels.problem import LatticeProblem

_log = logging.getLogger(__name__)


class Backend(Protocol):
    """What an implementation of the lattice sum offers."""

    def why_not(self, device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> str | None:
        """`None` if it can serve, else one sentence that says why not and what would."""

    def lattice_sum(self, S: Tensor, A: Tensor, N: Tensor, problem: LatticeProblem) -> Tensor:
        """Σ_m F_cell² F_latt² [P]."""


BACKENDS: dict[str, Backend] = {
    "cpu": Compiled(cpu.why_not),
    "cuda": Compiled(cuda.why_not),
    "reference": reference,
}
"""In the order in which they are tried; the reference last."""


def choose(name: str | None, device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> Backend:
    """The named backend, or with `None` the first that can serve; the choice is logged once.

    Raises:
        BackendUnavailable: the named backend does not exist or cannot serve; it is never silently replaced.
    """
    if name is not None:
        if name not in BACKENDS:
            raise BackendUnavailable(name, "there is no such backend; choose one of " + ", ".join(BACKENDS))
        reason = BACKENDS[name].why_not(device, dtype, shape, interpolation)
        if reason is not None:
            raise BackendUnavailable(name, reason)
        return BACKENDS[name]
    for candidate, backend in BACKENDS.items():
        reason = backend.why_not(device, dtype, shape, interpolation)
        if reason is None:
            _tell(candidate, str(device), "")
            return backend
        if candidate == device.type:
            _tell(candidate, str(device), reason)
    raise AssertionError("the reference serves everything")


@cache
def _tell(name: str, device: str, reason: str) -> None:
    _log.info("%s", f"{name} cannot serve: {reason}" if reason else f"{name} computes on {device}")
