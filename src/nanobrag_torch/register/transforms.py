"""Maps from the pixels of the fixed image to those of the moving image.

A transform is a model and its parameters, every one a displacement in pixels: of the image's middle for a shift, of
its farthest edge for a rotation or a linear map, of a knot for a free-form deformation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nanobrag_torch.register.bspline import basis, knot_count, local_basis

MODELS = {"shift": 2, "rigid": 3, "affine": 6}
"""Models with a matrix and the number of their parameters; `spline` is the other one."""


@dataclass(frozen=True)
class Transform:
    """A map T of points of the fixed image to points of the moving one.

    Args:
        model: `shift`, `rigid`, `affine` or `spline`.
        parameters: [n] float64, pixels. Shift: slow, fast. Rigid: shift, then the arc at the edge (the angle times
            `radius`, turning slow to fast). Affine: shift, then the displacements per `radius` (slow by slow, slow by
            fast, fast by slow, fast by fast). Spline: coefficients [2, K_slow, K_fast].
        size: pixels of the fixed image, slow and fast; its middle is the centre of rotation.
        spacing: pixels between the knots of a spline.
    """

    model: str
    parameters: Tensor
    size: tuple[int, int]
    spacing: float = 0.0

    @property
    def radius(self) -> float:
        """Half the longer side, pixels."""
        return 0.5 * max(self.size)

    @property
    def centre(self) -> Tensor:
        """Middle of the fixed image, [2]."""
        return torch.tensor([0.5 * (n - 1) for n in self.size], dtype=self.parameters.dtype)

    @property
    def knots(self) -> tuple[int, int]:
        """Coefficients of a spline, slow and fast."""
        return knot_count(self.size[0], self.spacing), knot_count(self.size[1], self.spacing)

    def with_parameters(self, parameters: Tensor) -> Transform:
        """The same model with other parameters [n]."""
        return replace(self, parameters=parameters)

    def linear(self) -> tuple[Tensor, Tensor]:
        """Matrix [2, 2] and shift [2] of T(x) = centre + matrix (x − centre) + shift; not of a spline."""
        p = self.parameters
        if self.model == "shift":
            return torch.eye(2, dtype=p.dtype), p[:2]
        if self.model == "rigid":
            angle = p[2] / self.radius
            cos, sin = torch.cos(angle), torch.sin(angle)
            return torch.stack([cos, -sin, sin, cos]).reshape(2, 2), p[:2]
        return torch.eye(2, dtype=p.dtype) + p[2:].reshape(2, 2) / self.radius, p[:2]

    def displacement(self, points: Tensor) -> Tensor:
        """T(x) − x in pixels, [2, ...], of points x [2, ...]; differentiable by both."""
        if self.model != "spline":
            matrix, shift = self.linear()
            offset = points - self.centre.reshape(2, *[1] * (points.ndim - 1))
            turned: Tensor = torch.tensordot(matrix - torch.eye(2, dtype=matrix.dtype), offset, 1)
            return turned + shift.reshape(2, *[1] * (points.ndim - 1))
        slow, fast = self.knots
        flat = points.reshape(2, -1)
        rows, across = local_basis(flat[0], self.spacing, slow)
        columns, along = local_basis(flat[1], self.spacing, fast)
        places = (rows.unsqueeze(-1) * fast + columns.unsqueeze(-2)).flatten(-2)
        near = self.parameters.reshape(2, -1)[:, places.reshape(-1)].reshape(2, -1, 4, 4)
        values = ((near * along.unsqueeze(-2)).sum(-1) * across).sum(-1)
        return values.reshape(points.shape)

    def __call__(self, points: Tensor) -> Tensor:
        """T(x), [2, ...] slow and fast in pixels of the moving image, of points [2, ...] of the fixed image."""
        return points + self.displacement(points)

    def on_grid(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Displacements [2, H, W] at the crossings of rows [H] and columns [W], pixels."""
        if self.model != "spline":
            return self.displacement(torch.stack(torch.meshgrid(rows, columns, indexing="ij")))
        slow, fast = self.knots
        across = basis(rows, self.spacing, slow) @ self.parameters.reshape(2, slow, fast)
        return across @ basis(columns, self.spacing, fast).T

    def inverse(self, points: Tensor, rounds: int = 200) -> Tensor:
        """The points x with T(x) = y, [2, ...], of points y [2, ...] of the moving image; without a gradient.

        Raises:
            ArithmeticError: the deformation folds, so that it has no inverse there.
        """
        with torch.no_grad():
            if self.model != "spline":
                matrix, shift = self.linear()
                centre = self.centre.reshape(2, *[1] * (points.ndim - 1))
                offset = points - centre - shift.reshape(centre.shape)
                back: Tensor = torch.tensordot(torch.linalg.inv(matrix), offset, 1)
                return back + centre
            linear = nearest_affine(self)
            found = linear.inverse(points)
            for _ in range(rounds):
                step = linear.inverse(self(found)) - linear.inverse(points)
                found = found - step
                if not step.isfinite().all():
                    break
                if float(step.abs().max()) < 1e-10:
                    return found
        raise ArithmeticError("the deformation folds: it has no inverse")


def identity(model: str, size: tuple[int, int], spacing: float = 0.0) -> Transform:
    """The transform of a model that moves nothing."""
    count = MODELS[model] if model in MODELS else 2 * knot_count(size[0], spacing) * knot_count(size[1], spacing)
    return Transform(model, torch.zeros(count, dtype=torch.float64), size, spacing)


def from_linear(model: str, matrix: Tensor, shift: Tensor, size: tuple[int, int]) -> Transform:
    """The shift, rigid or affine transform of a matrix [2, 2] and a shift [2] about the middle of the image."""
    bare = identity(model, size)
    if model == "shift":
        return bare.with_parameters(shift)
    if model == "rigid":
        angle = torch.atan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1])
        return bare.with_parameters(torch.cat([shift, (angle * bare.radius).reshape(1)]))
    rest = (matrix - torch.eye(2, dtype=matrix.dtype)) * bare.radius
    return bare.with_parameters(torch.cat([shift, rest.reshape(-1)]))


def _knot_places(bare: Transform) -> Tensor:
    """Places of the knots, [2, K_slow, K_fast]: where a coefficient equals the value of a linear function."""
    slow, fast = ((torch.arange(n, dtype=torch.float64) - 1.0) * bare.spacing - 0.5 for n in bare.knots)
    return torch.stack(torch.meshgrid(slow, fast, indexing="ij"))


def as_spline(transform: Transform, spacing: float) -> Transform:
    """A transform with a matrix as a free-form deformation, exactly."""
    bare = identity("spline", transform.size, spacing)
    return bare.with_parameters(transform.displacement(_knot_places(bare)).reshape(-1))


def nearest_affine(transform: Transform) -> Transform:
    """The affine transform nearest to a deformation at its knots, in the least-squares sense."""
    if transform.model != "spline":
        return from_linear("affine", *transform.linear(), transform.size)
    places = _knot_places(transform).reshape(2, -1)
    offset = places - transform.centre[:, None]
    design = torch.cat([torch.ones(1, places.shape[1], dtype=places.dtype), offset]).T
    values = transform.parameters.detach().reshape(2, -1).T
    found = torch.linalg.lstsq(design, values).solution
    matrix = torch.eye(2, dtype=places.dtype) + found[1:].T
    return from_linear("affine", matrix, found[0], transform.size)
