"""The front door of the primitive: its contract, its checks, and the choice of a backend."""

from __future__ import annotations

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels import backends
from nanobrag_torch.kernels.problem import LatticeProblem
from nanobrag_torch.kernels.shapes import AMPLITUDES, CODES
from nanobrag_torch.kernels.structure_factors import StructureFactors


def lattice_sum(  # noqa: PLR0913 - the contract of the primitive
    S: Tensor,
    A: Tensor,
    N: Tensor,
    table: StructureFactors,
    *,
    shape: str,
    reciprocal: Tensor,
    fudge: Tensor,
    interpolation: bool,
    radius: str = "nanobragg",
    backend: str | None = None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Diffracted intensity per scattering vector, summed over crystal orientations.

    I[p] = Σ_m F_cell(h)² F_latt(h)², h = A_m·S_p.

    Differentiable in S, A, N, fudge, reciprocal and the amplitudes of the table. N is real: its derivative is
    taken with the distance of h from its nearest integer (the value is the same for whole N, and the derivative
    bounded).

    Args:
        S: [P,3] scattering vectors (1/Å), float64.
        A: [M,3,3] a, b, c (rows, Å) of every orientation, float64.
        N: [3] cells along a, b, c, float64.
        table: structure factors.
        shape: `square`, `round`, `gauss`, `tophat` or `diffuse` (in double only).
        reciprocal: [3,3] unrotated a*, b*, c* (rows, 1/Å); GAUSS and TOPHAT use them.
        fudge: [] factor on the squared radius of ROUND, GAUSS and TOPHAT.
        interpolation: tricubic F instead of the nearest reflection's; ignored without a table.
        radius: the law of GAUSS and TOPHAT, `nanobragg` or `exact`.
        backend: `cpu`, `cuda` or `reference`; `None` takes the first that can serve.
        dtype: float64, or float32 from the fractions of h on (h itself and the sum stay in double).

    Returns:
        [P] float64.

    Raises:
        InputError: a shape, radius or dtype that does not exist, or tensors that do not fit.
        BackendUnavailable: the named backend cannot serve.

    specs: intensity 3, 4; structure_factors 3, 5
    """
    _check(S, A, N, shape, radius, dtype)
    fudge = torch.as_tensor(fudge, dtype=torch.float64, device=S.device)
    interpolation = interpolation and table.values is not None
    problem = LatticeProblem(table, shape, reciprocal, fudge, interpolation, radius, dtype)
    return backends.choose(backend, S.device, dtype, shape, interpolation).lattice_sum(S, A, N, problem)


def _check(S: Tensor, A: Tensor, N: Tensor, shape: str, radius: str, dtype: torch.dtype) -> None:  # noqa: PLR0913
    if shape not in AMPLITUDES and shape not in CODES:
        known = ", ".join({**AMPLITUDES, **CODES})
        raise InputError("shape", f"{shape!r} does not exist", f"choose one of {known}")
    if radius not in ("nanobragg", "exact"):
        raise InputError("radius", f"{radius!r} does not exist", "choose nanobragg or exact")
    if dtype not in (torch.float64, torch.float32):
        raise InputError("dtype", f"{dtype} cannot serve", "choose torch.float64 or torch.float32")
    for name, tensor, form in (("S", S, (-1, 3)), ("A", A, (-1, 3, 3)), ("N", N, (3,))):
        fits = tensor.dim() == len(form) and all(n in (-1, m) for n, m in zip(form, tensor.shape, strict=True))
        if not fits or tensor.dtype != torch.float64:
            wanted = "[" + ", ".join("any" if n < 0 else str(n) for n in form) + "]"
            raise InputError(name, f"{list(tensor.shape)} of {tensor.dtype}", f"give {wanted} of torch.float64")
