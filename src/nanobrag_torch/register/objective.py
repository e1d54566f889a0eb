"""What registration makes small: a dissimilarity of the warped image and the fixed one, and the bending of the map.

Every similarity is a function of a few sums over pixels. The sums are local, which the exact Hessian makes use of
(`register.hessian`), and every pixel has a weight with two continuous derivatives, so that nothing jumps when the map
moves pixels out of the moving image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nanobrag_torch.register.bspline import coefficients, energy_matrices, evaluate
from nanobrag_torch.register.mind import Shape, descriptors, variance_floor
from nanobrag_torch.register.pyramid import eroded
from nanobrag_torch.register.transforms import Transform

EDGE = 2
"""Pixels from the edge of the moving image, or from a pixel left out, where a weight becomes 0."""


@dataclass(frozen=True)
class Settings:
    """What shapes the objective; the tensors are scalars and may require gradients.

    Args:
        similarity: `ncc`, `mind` or `ssd`.
        bending: weight of the bending energy, pixels².
        anchor: weight of the mean square displacement of a spline, 1/pixels².
        floor: floor of the variance of MIND, relative to the image's mean.
        shape: patches and ring of MIND.
    """

    similarity: str
    bending: Tensor
    anchor: Tensor
    floor: Tensor
    shape: Shape

    @property
    def stencil(self) -> int:
        """How many pixels away a pixel takes part in a pixel's term."""
        return self.shape.reach if self.similarity == "mind" else 0


@dataclass(frozen=True)
class Pair:
    """Two images at one level of a pyramid, ready to be compared.

    Args:
        moving: spline coefficients [H_m, W_m] of the moving image.
        inside: smoothing-spline coefficients [H_m, W_m] of its weight.
        fixed: [H, W].
        keep: weights [H, W] of the fixed image.
        reference: channels [K, H, W] of the fixed image that the warped one is compared with.
        least: floor of the moving image's variance (MIND), or the fixed image's variance (SSD).
        settings: the similarity and its options.
        step: full-size pixels per pixel of this level.
    """

    moving: Tensor
    inside: Tensor
    fixed: Tensor
    keep: Tensor
    reference: Tensor
    least: Tensor
    settings: Settings
    step: int = 1

    def axes(self) -> tuple[Tensor, Tensor]:
        """Rows [H] and columns [W] of the fixed image in full-size pixels."""
        rows, columns = ((torch.arange(n, dtype=torch.float64) + 0.5) * self.step - 0.5 for n in self.fixed.shape)
        return rows, columns


def prepare(
    moving: Tensor, fixed: Tensor, keep_moving: Tensor, keep_fixed: Tensor, settings: Settings, step: int = 1
) -> Pair:
    """Two images [H_m, W_m], [H, W] and their weights as a `Pair`; differentiable by images, weights and settings."""
    margin = -(-settings.stencil // step)
    usable = eroded(keep_moving, max(1, EDGE // step) + margin, outside=False) * keep_moving
    keep = eroded(keep_fixed, settings.stencil, outside=True) * keep_fixed
    if settings.similarity == "mind":
        least = variance_floor(moving, keep_moving, settings.shape, settings.floor)
        least_fixed = variance_floor(fixed, keep_fixed, settings.shape, settings.floor)
        reference = descriptors(fixed, settings.shape, least_fixed)
    else:
        mean = (fixed * keep).sum() / keep.sum()
        least = ((fixed - mean) ** 2 * keep).sum() / keep.sum()
        reference = fixed.unsqueeze(0)
    return Pair(coefficients(moving), usable, fixed, keep, reference, least, settings, step)


def places(pair: Pair, field: Tensor) -> Tensor:
    """Pixels [2, H, W] of the moving level that displacements [2, H, W] (full-size pixels) lead to."""
    grid = torch.stack(torch.meshgrid(*pair.axes(), indexing="ij"))
    return (grid + field + 0.5) / pair.step - 0.5


def warp(pair: Pair, field: Tensor) -> tuple[Tensor, Tensor]:
    """The moving image and its weight, [H, W] each, seen through displacements [2, H, W] in full-size pixels."""
    where = places(pair, field)
    return evaluate(pair.moving, where), evaluate(pair.inside, where, "zero") * pair.keep


def sums(pair: Pair, warped: Tensor, weight: Tensor) -> Tensor:
    """The sums over pixels that the similarity is a function of, [J]; see `dissimilarity`."""
    kind = pair.settings.similarity
    if kind == "ncc":
        # Subtracting constants changes no correlation, and keeps the digits.
        m = warped - warped.detach().mean()
        f = pair.fixed - pair.fixed.detach().mean()
        terms = (torch.ones_like(m), m, f, m * m, f * f, m * f)
        return torch.stack([(weight * term).sum() for term in terms])
    shown = channels(pair, warped)
    return torch.stack([(weight * ((shown - pair.reference) ** 2).mean(0)).sum(), weight.sum()])


def channels(pair: Pair, warped: Tensor) -> Tensor:
    """What is compared with the reference, [K, H, W]: descriptors, or the warped image itself."""
    if pair.settings.similarity == "mind":
        return descriptors(warped, pair.settings.shape, pair.least)
    return warped.unsqueeze(0)


def dissimilarity(pair: Pair, s: Tensor) -> Tensor:
    """The data term, a scalar, from the sums [J].

    `ncc`: 1 − Pearson's weighted correlation. `ssd`: half the weighted mean square difference per variance of the
    fixed image. `mind`: half the weighted mean square difference of the descriptors.
    """
    if pair.settings.similarity == "ncc":
        total, m, f, mm, ff, mf = s.unbind()
        variances = (mm - m * m / total) * (ff - f * f / total)
        return 1.0 - (mf - m * f / total) / torch.sqrt(variances)
    scale = pair.least if pair.settings.similarity == "ssd" else torch.ones_like(pair.least)
    return 0.5 * s[0] / (s[1] * scale)


@dataclass(frozen=True)
class Objective:
    """A pair with a model: the function of its parameters that registration makes small."""

    pair: Pair
    model: Transform
    bend: Tensor
    square: Tensor

    @property
    def stiffness(self) -> Tensor:
        """The quadratic form [n/2, n/2] of what deforming costs, per component of a spline."""
        return self.pair.settings.bending * self.bend + self.pair.settings.anchor * self.square

    def field(self, parameters: Tensor) -> Tensor:
        """Displacements [2, H, W] of the pair's pixels, in full-size pixels."""
        return self.model.with_parameters(parameters).on_grid(*self.pair.axes())

    def cost(self, parameters: Tensor) -> Tensor:
        """Half the weighted bending energy and mean square of a spline, and 0 of other models; a scalar."""
        if self.model.model != "spline":
            return parameters.new_zeros(())
        each = parameters.reshape(2, -1)
        return 0.5 * ((each @ self.stiffness) * each).sum()

    def of_field(self, field: Tensor) -> Tensor:
        """The data term of displacements [2, H, W]; a scalar."""
        return dissimilarity(self.pair, sums(self.pair, *warp(self.pair, field)))

    def __call__(self, parameters: Tensor) -> Tensor:
        """The objective of parameters [n]; a scalar."""
        return self.of_field(self.field(parameters)) + self.cost(parameters)

    def gradient(self, parameters: Tensor, create_graph: bool = False) -> tuple[Tensor, Tensor]:
        """Value (scalar) and gradient [n]; with `create_graph` they can be differentiated on."""
        with torch.enable_grad():
            p = parameters if create_graph else parameters.detach().requires_grad_()
            value = self(p)
            (found,) = torch.autograd.grad(value, p, create_graph=create_graph)
        return (value, found) if create_graph else (value.detach(), found)


def objective(pair: Pair, model: Transform) -> Objective:
    """The objective of a model on a pair."""
    like = torch.zeros((), dtype=torch.float64)
    matrices = energy_matrices(model.size, model.spacing, like) if model.model == "spline" else (like, like)
    return Objective(pair, model, *matrices)
