"""The lattice amplitude L of one crystal shape per module, and the table of them (specs: intensity 4).

Every module has `amplitude(delta, N, fudge, reciprocal, radius) -> L [P]`, where `delta` are the three distances
[P] of h, k, l from their nearest whole numbers, N [3] the counts of cells, `fudge` [] the factor G on the squared
radius, `reciprocal` [3,3] the unrotated a*, b*, c* (rows, 1/Å), and `radius` the law of GAUSS and TOPHAT
(`nanobragg`, or `exact`: specs: deviations F, D27). `CODE` is the number of the shape in compiled kernels.
`diffuse` stands beside them: an intensity between the spots in place of L².
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nanobrag_torch.kernels.shapes import diffuse, gauss, round, square, tophat

Delta = tuple[Tensor, Tensor, Tensor]
Amplitude = Callable[[Delta, Tensor, Tensor, Tensor, str], Tensor]

AMPLITUDES: dict[str, Amplitude] = {
    "square": square.amplitude,
    "round": round.amplitude,
    "gauss": gauss.amplitude,
    "tophat": tophat.amplitude,
}

CODES: dict[str, int] = {
    "square": square.CODE,
    "round": round.CODE,
    "gauss": gauss.CODE,
    "tophat": tophat.CODE,
    "diffuse": diffuse.CODE,
}
