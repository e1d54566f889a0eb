"""The lattice sum on NVIDIA cards, by Triton.

The phase is native double: cards for computing (V100, A100, H100, H200) do double at half the single rate, and there
the programs are limited by double arithmetic no more than processors are. Consumer cards do it at a 64th of the
single rate; they compute the same numbers, slower, and dtype float32 leaves them only the indices and their split.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from math import pi

import torch
from torch import Tensor

from nanobrag_torch.kernels.shapes import CODES

BLOCK = 128
_ROUND = CODES["round"]


def why_not(device: torch.device, dtype: torch.dtype, shape: str, interpolation: bool) -> str | None:
    """Why the Triton programs cannot serve, in one sentence, or `None`."""
    if device.type != "cuda":
        return f"it computes on CUDA devices, not on {device}; use backend cpu or reference"
    if find_spec("triton") is None:
        return "triton is not installed; install triton, or use backend reference"
    if shape not in CODES:
        return f"it does not know the shape {shape}; use backend reference"
    return None


def _numbers(config: list[int], lattice: Tensor) -> Tensor:
    """[14] N, their product, W (9) and the scale of the radial shapes (csrc/shapes.h), as a function of `lattice`."""
    shape, exact = config[0], bool(config[2])
    N, fudge, reciprocal = lattice[:3], lattice[3:4], lattice[4:13]
    cells = (N[0] * N[1] * N[2]).reshape(1)
    if shape == _ROUND:
        return torch.cat([N, cells, torch.diag(N).reshape(-1), fudge * (pi * pi)])
    if exact:
        return torch.cat([N, cells, torch.diag(N).reshape(-1), fudge])
    return torch.cat([N, cells, reciprocal, fudge * cells * cells])


def _grid(config: list[int], device: torch.device) -> Tensor:
    """First index and size along h, k, l, in double."""
    return torch.tensor([*config[7:10], *config[4:7]], dtype=torch.float64).to(device, non_blocking=True)


def lattice_sum(S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int]) -> Tensor:
    """Σ_m F_cell² F_latt² [P] at S [P,3]."""
    from nanobrag_torch.kernels import cuda_kernels

    single = bool(config[3])
    dtype = torch.float32 if single else torch.float64
    numbers, values = _numbers(config, lattice).to(dtype), table.to(dtype).contiguous()
    S, out = S.contiguous(), torch.empty(len(S), dtype=torch.float64, device=S.device)
    if len(S):
        cuda_kernels.forward[(-(-len(S) // BLOCK),)](
            S, A.contiguous(), numbers, values, _grid(config, S.device), out, len(S), len(A),
            SHAPE=config[0], LOOKUP=config[1], SINGLE=single, BLOCK=BLOCK,
        )  # fmt: skip
    return out


def lattice_sum_vjp(
    grad: Tensor, S: Tensor, A: Tensor, lattice: Tensor, table: Tensor, config: list[int], wants: tuple[bool, bool]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients by S, A, and as far as they are wanted lattice parameters and table (else empty); all in double."""
    from nanobrag_torch.kernels import cuda_kernels

    found = torch.func.vjp(partial(_numbers, config), lattice)
    numbers, send_back = found[0], found[1]
    S = S.contiguous()
    by_S, by_A, by_numbers = torch.empty_like(S), torch.zeros_like(A).contiguous(), torch.zeros_like(numbers)
    by_table = torch.zeros_like(table) if wants[1] else table.new_zeros(0)
    if len(S):
        cuda_kernels.vjp[(-(-len(S) // BLOCK),)](
            grad.contiguous(), S, A.contiguous(), numbers, table.contiguous(), _grid(config, S.device),
            by_S, by_A, by_numbers, by_table, len(S), len(A),
            SHAPE=config[0], LOOKUP=config[1], TABLE=wants[1], BLOCK=BLOCK,
        )  # fmt: skip
    (by_lattice,) = send_back(by_numbers)
    return by_S, by_A, by_lattice if wants[0] else lattice.new_zeros(0), by_table
