"""Cubic B-splines on a regular grid: interpolation of images, and the bases of free-form deformations.

Source: M. Unser, A. Aldroubi, M. Eden, IEEE Trans. Signal Process. 41 (1993) 821. Images continue beyond their edge
by reflection about the outermost pixel centres, so that the interpolant has two continuous derivatives everywhere.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_POLE = math.sqrt(3.0) - 2.0
_TAPS = 28
"""|pole| to this power is below the precision of a double."""
_GAUSS = ((-0.8611363115940526, 0.3478548451374538), (-0.3399810435848563, 0.6521451548625461))
"""Two of the four symmetric nodes of Gauss-Legendre quadrature and their weights: exact to degree 7."""


def reflected(index: Tensor, n: int) -> Tensor:
    """Indices of any size folded into 0 ... n − 1 by reflection about the first and last pixel. Shapes: any."""
    if n == 1:
        return torch.zeros_like(index)
    index = index.remainder(2 * n - 2)
    return torch.where(index < n, index, 2 * n - 2 - index)


def coefficients(image: Tensor) -> Tensor:
    """Coefficients [..., H, W] of the cubic spline through an image [..., H, W] (float64)."""
    for _ in range(2):
        image = _filtered(image).transpose(-1, -2)
    return image


def _filtered(image: Tensor) -> Tensor:
    """The direct B-spline filter along the last axis, as a convolution with its impulse response."""
    n = image.shape[-1]
    taps = torch.arange(-_TAPS, _TAPS + 1, device=image.device)
    response = (-6.0 * _POLE / (1.0 - _POLE**2)) * _POLE ** taps.abs().to(image.dtype)
    around = torch.arange(-_TAPS, n + _TAPS, device=image.device)
    wide = image[..., reflected(around, n)]
    flat = wide.reshape(-1, 1, wide.shape[-1])
    return torch.nn.functional.conv1d(flat, response[None, None]).reshape(image.shape)


def weights(t: Tensor, order: int = 0) -> Tensor:
    """The four cubic B-splines over a knot interval, or a derivative of theirs.

    Args:
        t: place in the interval, 0 to 1, any shape.
        order: 0 for the values, 1 and 2 for derivatives by t.

    Returns:
        [..., 4], for the coefficients from one before the interval's first knot to two behind.
    """
    s = 1.0 - t
    if order == 0:
        inner, outer = 2.0 / 3.0 - 0.5 * t * t * (1.0 + s), 2.0 / 3.0 - 0.5 * s * s * (1.0 + t)
        return torch.stack([s * s * s / 6.0, inner, outer, t * t * t / 6.0], -1)
    if order == 1:
        return torch.stack([-0.5 * s * s, 1.5 * t * t - 2.0 * t, 2.0 * s - 1.5 * s * s, 0.5 * t * t], -1)
    return torch.stack([s, 3.0 * t - 2.0, 3.0 * s - 2.0, t], -1)


def evaluate(coefs: Tensor, points: Tensor, beyond: str = "reflect") -> Tensor:
    """Values of a spline at points, differentiable twice by both.

    Args:
        coefs: [H, W], from `coefficients`, or plain values for a smoothing spline.
        points: [2, ...], slow and fast in pixels, pixel centres at whole numbers.
        beyond: `reflect` or `zero`: what the coefficients are outside the grid.

    Returns:
        [...], of the points' shape.
    """
    height, width = coefs.shape
    rows, row_weights = _along(points[0], height, beyond)
    columns, column_weights = _along(points[1], width, beyond)
    flat = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).flatten(-2)
    values = coefs.reshape(-1)[flat.reshape(-1)].reshape(*points.shape[1:], 4, 4)
    return ((values * column_weights.unsqueeze(-2)).sum(-1) * row_weights).sum(-1)


def _along(x: Tensor, n: int, beyond: str) -> tuple[Tensor, Tensor]:
    """The four indices and weights of every coordinate, [..., 4] each."""
    first = torch.floor(x.detach())
    index = first.long().unsqueeze(-1) + torch.arange(-1, 3, device=x.device)
    weight = weights(x - first)
    if beyond == "zero":
        weight = weight * ((index >= 0) & (index < n)).to(weight.dtype)
        return index.clamp(0, n - 1), weight
    return reflected(index, n), weight


def knot_count(size: int, spacing: float) -> int:
    """Coefficients along an axis of `size` pixels with a knot every `spacing` pixels, first at the outer edge."""
    return math.ceil(size / spacing - 1e-9) + 3


def basis(x: Tensor, spacing: float, count: int, order: int = 0) -> Tensor:
    """The B-splines of a deformation along one axis.

    Args:
        x: [n] coordinates in pixels; the first knot interval begins at −0.5, the outer edge of pixel 0.
        spacing: pixels between knots.
        count: number of B-splines, from `knot_count`.
        order: which derivative by x.

    Returns:
        [n, count]. A coordinate beyond the last interval continues the polynomial of the nearest one.
    """
    index, weight = local_basis(x, spacing, count, order)
    table = torch.zeros(*x.shape, count, dtype=x.dtype, device=x.device)
    return table.scatter_add(-1, index, weight)


def local_basis(x: Tensor, spacing: float, count: int, order: int = 0) -> tuple[Tensor, Tensor]:
    """The four B-splines of `basis` that are not 0 at each x [n]: their numbers and their values, [n, 4] each."""
    u = (x + 0.5) / spacing
    first = torch.floor(u.detach()).clamp(0, count - 4)
    index = first.long().unsqueeze(-1) + torch.arange(4, device=x.device)
    return index, weights(u - first, order) / spacing**order


def _gram(size: int, spacing: float, count: int, order: int, like: Tensor) -> Tensor:
    """Mean over −0.5 ... size − 0.5 of the products of the B-splines' derivatives, [count, count]."""
    edges = torch.arange(count - 2, dtype=like.dtype, device=like.device) * spacing - 0.5
    edges = edges.clamp(max=size - 0.5)
    low, high = edges[:-1], edges[1:]
    total = torch.zeros(count, count, dtype=like.dtype, device=like.device)
    for node, weight in ((sign * node, weight) for node, weight in _GAUSS for sign in (1.0, -1.0)):
        table = basis(0.5 * (low + high) + 0.5 * node * (high - low), spacing, count, order)
        total = total + table.T @ (table * (0.5 * weight / size * (high - low)).unsqueeze(-1))
    return total


def energy_matrices(size: tuple[int, int], spacing: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """The quadratic forms of the mean bending energy and of the mean square of one component of a deformation.

    The bending energy is the mean over the image of (∂²u/∂s²)² + 2 (∂²u/∂s∂f)² + (∂²u/∂f²)², in 1/pixel² for u in
    pixels (Rueckert et al., IEEE Trans. Med. Imaging 18 (1999) 712); both are exact integrals.

    Args:
        size: pixels, slow and fast.
        spacing: pixels between knots.
        like: a tensor of the wanted dtype and device.

    Returns:
        [n, n] each over the coefficients of one component, slow-major.
    """
    counts = [knot_count(n, spacing) for n in size]
    slow, fast = ([_gram(n, spacing, c, k, like) for k in range(3)] for n, c in zip(size, counts, strict=True))
    mixed = 2.0 * torch.kron(slow[1], fast[1])
    return torch.kron(slow[2], fast[0]) + mixed + torch.kron(slow[0], fast[2]), torch.kron(slow[0], fast[0])
